/* SPDX-License-Identifier: Apache-2.0 */
/* Which device the environment asks for: what an open driver would take, found without opening one. */
#include <string.h>
#include "cl/device/device.h"
#include "cl/doctor/doctor.h"
#include "drivers/drivers.h"

/* The kind of device that the list allows; of a list with cl on both kinds ("*") any, the GPU first. */
enum plumb_device_kind plumb_doctor_wanted(void)
{
	struct plumb_driver_item items[PLUMB_MAX_ITEMS];
	enum plumb_device_kind kind = PLUMB_KIND_ANY;
	int count, found = 0;
	if (!plumb_driver_parse(plumb_env(PLUMB_ENV_DRIVER), items, &count))
		for (int i = 0; i < count; i++)
			if (!strcmp(items[i].name, "cl")) {
				kind = items[i].kind;
				found++;
			}
	return found == 1 ? kind : PLUMB_KIND_ANY;
}

enum plumb_status plumb_device_choice(int *index)
{
	struct plumb_cl_device chosen;
	*index = -1;
	PLUMB_TRY(plumb_cl_select(plumb_doctor_wanted(), &chosen));
	*index = chosen.info.index;
	return PLUMB_OK;
}
