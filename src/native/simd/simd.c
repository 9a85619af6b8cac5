/* SPDX-License-Identifier: Apache-2.0 */
/* Which instruction sets this machine has and the choice among them. Compiled without any
 * ISA flag, so that asking never executes what the machine may lack. No kernel lives here. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdio.h>
#include <string.h>
#include <strings.h>
#ifdef PLUMB_HAVE_AVX2
#include <cpuid.h>
#endif
#if defined(PLUMB_HAVE_NEONDOT) && defined(__linux__)
#include <sys/auxv.h>
#endif
#include "core/core.h"
#include "native/simd/simd.h"

static bool simd_always(void) { return true; }

#ifdef PLUMB_HAVE_AVX2
static bool simd_has_avx2(void)
{
	unsigned a, b, c, d;
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") &&
		__builtin_cpu_supports("fma") && /* they ask the system's support too */
		__get_cpuid(1, &a, &b, &c, &d) &&
		(c & bit_F16C); /* the builtin of older compilers does not know this name */
}
#endif

#if defined(PLUMB_HAVE_AVXVNNI) || defined(PLUMB_HAVE_AVX512)
static unsigned simd_feature(unsigned leaf, unsigned sub, int reg)
{
	unsigned r[4] = { 0, 0, 0, 0 };
	return __get_cpuid_count(leaf, sub, &r[0], &r[1], &r[2], &r[3]) ? r[reg] : 0;
}
#endif

#ifdef PLUMB_HAVE_AVXVNNI
static bool simd_has_avxvnni(void) { return simd_has_avx2() && (simd_feature(7, 1, 0) >> 4 & 1); }
#endif

#ifdef PLUMB_HAVE_AVX512
static bool simd_has_avx512(void)
{
	return simd_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		(simd_feature(7, 0, 2) >> 11 & 1); /* VNNI */
}
#endif

#ifdef PLUMB_HAVE_NEONDOT
static bool simd_has_neondot(void)
{
#ifdef __ARM_FEATURE_DOTPROD
	return true; /* the whole program needs it */
#elif defined(__linux__)
	return getauxval(AT_HWCAP) >> 20 & 1; /* HWCAP_ASIMDDP */
#else
	return false;
#endif
}
#endif

static const struct {
	const struct plumb_simd *simd;
	bool (*here)(void);
} sets[] = {
	{ &plumb_simd_c, simd_always },
#ifdef PLUMB_HAVE_AVX2
	{ &plumb_simd_avx2, simd_has_avx2 },
#endif
#ifdef PLUMB_HAVE_AVXVNNI
	{ &plumb_simd_avxvnni, simd_has_avxvnni },
#endif
#ifdef PLUMB_HAVE_AVX512
	{ &plumb_simd_avx512, simd_has_avx512 },
#endif
#ifdef PLUMB_HAVE_NEON
	{ &plumb_simd_neon, simd_always }, /* part of every aarch64 */
#endif
#ifdef PLUMB_HAVE_NEONDOT
	{ &plumb_simd_neondot, simd_has_neondot },
#endif
};
#define SETS ((int)(sizeof sets / sizeof *sets))

/* The index-th of the sets that this machine has (here) or lacks. */
static int simd_set_at(int index, bool here)
{
	for (int i = 0; i < SETS; i++)
		if (sets[i].here() == here && index-- == 0)
			return i;
	return -1;
}

static const char *simd_name_at(int index, bool here)
{
	int i = index < 0 ? -1 : simd_set_at(index, here);
	return i < 0 ? NULL : sets[i].simd->name;
}

const char *plumb_simd_at(int index) { return simd_name_at(index, true); }
const char *plumb_simd_missing(int index) { return simd_name_at(index, false); }

#define TAKE(field) \
	if (from->field) \
	simd->field = from->field
static void simd_overlay(struct plumb_simd *simd, const struct plumb_simd *from)
{
	simd->name = from->name;
	if (from->gemm) {
		simd->mr = from->mr;
		simd->nr = from->nr;
		simd->gemm = from->gemm;
		simd->pack = from->pack;
	}
	for (int t = 0; t < PLUMB_TYPE_COUNT; t++) {
		TAKE(to_f32[t]);
		TAKE(dot[t]);
	}
	TAKE(order);
	TAKE(to_f16);
	TAKE(max);
	TAKE(exp_sum);
	TAKE(sum_sq);
	TAKE(norm);
	TAKE(scale);
	TAKE(add);
	TAKE(swiglu);
	TAKE(geglu);
	TAKE(packed);
}

enum plumb_status plumb_simd_choose(struct plumb_simd *simd, const char *cap)
{
	char names[64] = "";
	const char *name;
	bool found = !cap;
	size_t n = 0;
	for (int i = 0; (name = plumb_simd_at(i)); i++) {
		found = found || !strcasecmp(cap, name);
		if (n < sizeof names)
			n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", name);
	}
	if (!found)
		return plumb_fail(
			PLUMB_E_ARGUMENT, "PLUMB_NATIVE_ISA is \"%s\"; this build on this machine has: %s", cap, names);
	memset(simd, 0, sizeof *simd);
	for (int i = 0; (name = plumb_simd_at(i)); i++) {
		simd_overlay(simd, sets[simd_set_at(i, true)].simd);
		if (cap && !strcasecmp(cap, name))
			break;
	}
	return PLUMB_OK;
}
