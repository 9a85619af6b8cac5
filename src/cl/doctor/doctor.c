/* SPDX-License-Identifier: Apache-2.0 */
/* The walk from the loader to a kernel's numbers. All that calls OpenCL happens in children. */
#include <stdlib.h>
#include "cl/doctor/doctor.h"

enum plumb_status plumb_doctor(
	bool with_kernels, plumb_finding_fn report, void *user, enum plumb_verdict *verdict)
{
	*verdict = PLUMB_HEALTHY;
	PLUMB_TRY(plumb_env_check()); /* the driver would not open, and for no reason of OpenCL's */
	struct plumb_doctor *d = calloc(1, sizeof *d);
	if (!d)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for the doctor");
	d->report = report;
	d->user = user;
	PLUMB_SAY_OK(d, "build", "the OpenCL driver is built in");
	plumb_doctor_loader(d);
	plumb_doctor_icds(d);
	plumb_doctor_nodes(d);
	if (plumb_doctor_fact(d, "loader", 0)) {
		plumb_doctor_platforms(d);
		if (with_kernels && plumb_doctor_fact(d, "chosen", 0))
			plumb_doctor_kernels(d);
	}
	*verdict = d->verdict;
	free(d);
	return PLUMB_OK;
}
