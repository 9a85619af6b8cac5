/* SPDX-License-Identifier: Apache-2.0 */
/* plumb: a portable compute backend that runs small transformers and shows it runs them right. */
#ifndef PLUMB_H
#define PLUMB_H
#include <plumb/context.h>
#include <plumb/device.h>
#include <plumb/diag.h>
#include <plumb/doctor.h>
#include <plumb/env.h>
#include <plumb/file.h>
#include <plumb/model.h>
#include <plumb/op.h>
#include <plumb/profile.h>
#include <plumb/status.h>
#include <plumb/tensor.h>
#include <plumb/text.h>
#include <plumb/tune.h>
#include <plumb/version.h>
#endif
