/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of check_core that have files of their own. */
#ifndef TESTS_CORE_PARTS_H
#define TESTS_CORE_PARTS_H

#include "suite.h"

TCase *core_fork_case(void);
TCase *core_json_case(void);
TCase *core_options_case(void);
TCase *core_tensors_case(void);
TCase *core_threads_case(void);
TCase *core_types_case(void);
TCase *core_variables_case(void);

#endif
