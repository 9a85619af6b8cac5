/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's own layout of a quantised weight (simd/packed.h), made once. The numbers are the file's; only
 * their places change. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>
#include <string.h>
#include "native/native.h"

static uint16_t packed_half_at(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static void packed_put_half(uint8_t *p, uint16_t h)
{
	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
}

/* --- one block of a row: its numbers with the offset, and its scales to their places --- */

static void packed_small_numbers(enum plumb_type type, const uint8_t *b, uint8_t q[PLUMB_BLOCK])
{
	const struct plumb_packed_format f = plumb_packed_formats[type];
	const uint8_t *high = b +
		(f.min                                 ? 4
				: f.scales == PLUMB_SCALE_E8M0 ? 1
											   : 2),
				  *low = high + (f.bits == 5 ? 4 : 0);
	if (f.bits == 8) {
		for (int i = 0; i < PLUMB_BLOCK; i++)
			q[i] = b[2 + i] ^ 0x80;
		return;
	}
	for (int i = 0; i < 16; i++) {
		q[i] = low[i] & 15;
		q[i + 16] = low[i] >> 4;
	}
	for (int i = 0; f.bits == 5 && i < PLUMB_BLOCK; i++)
		q[i] |= (uint8_t)((high[i / 8] >> i % 8 & 1) << 4);
}

static void packed_k_numbers(
	enum plumb_type type, const uint8_t *b, int j, uint8_t q[PLUMB_BLOCK]) /* block j of 8 */
{
	if (type == PLUMB_Q6_K) {
		const uint8_t *low = b + j / 4 * 64 + j % 2 * 32, *high = b + 128 + j / 4 * 32;
		for (int i = 0; i < PLUMB_BLOCK; i++)
			q[i] = (uint8_t)((low[i] >> j % 4 / 2 * 4 & 15) | (high[i] >> j % 4 * 2 & 3) << 4);
		return;
	}
	if (type == PLUMB_Q2_K || type == PLUMB_Q3_K) {
		const uint8_t *low = b + (type == PLUMB_Q3_K ? 32 : 16) + j / 4 * 32;
		for (int i = 0; i < PLUMB_BLOCK; i++)
			q[i] = (uint8_t)((low[i] >> j % 4 * 2 & 3) | (type == PLUMB_Q3_K ? b[i] >> j & 1 : 0) << 2);
		return;
	}
	if (type == PLUMB_IQ4_XS) {
		for (int i = 0; i < PLUMB_BLOCK; i++)
			q[i] = b[8 + 16 * j + i % 16] >> i / 16 * 4 & 15;
		return;
	}
	const uint8_t *low = b + (type == PLUMB_Q5_K ? 48 : 16) + j / 2 * 32, *high = b + 16;
	for (int i = 0; i < PLUMB_BLOCK; i++)
		q[i] = low[i] >> j % 2 * 4 & 15;
	for (int i = 0; type == PLUMB_Q5_K && i < PLUMB_BLOCK; i++)
		q[i] |= (uint8_t)((high[i] >> j & 1) << 4);
}

static void packed_small_scales(enum plumb_type type, const uint8_t *b, int r, uint8_t *to)
{
	if (type == PLUMB_MXFP4) {
		to[r] = b[0];
		return;
	}
	packed_put_half(to + 2 * r, packed_half_at(b));
	if (plumb_packed_formats[type].min)
		packed_put_half(to + 32 + 2 * r, packed_half_at(b + 2));
}

/* Of the types with one half, d at `half`. */
static void packed_signed_scales(enum plumb_type type, const uint8_t *b, int half, int r, uint8_t *to)
{
	packed_put_half(to + 2 * r, packed_half_at(b + half));
	for (int j = 0; j < 8 * plumb_packed_formats[type].sub; j++)
		to[32 + 16 * j + r] = type == PLUMB_Q6_K
			? b[192 + j]
			: (uint8_t)(type == PLUMB_Q3_K ? plumb_type_q3_k_scale(b, j) : plumb_type_iq4_xs_scale(b, j));
}

static void packed_k_scales(enum plumb_type type, const uint8_t *b, int r, uint8_t *to)
{
	const int half = type == PLUMB_Q6_K ? 208 : type == PLUMB_Q3_K ? 108 : type == PLUMB_Q2_K ? 80 : 0;
	if (!plumb_packed_formats[type].min) {
		packed_signed_scales(type, b, half, r, to);
		return;
	}
	packed_put_half(to + 2 * r, packed_half_at(b + half));
	packed_put_half(
		to + 32 + 2 * r, packed_half_at(b + half + 2) ^ 0x8000); /* so that the minimum is added */
	for (int j = 0; j < 16 && type == PLUMB_Q2_K; j++)
		to[64 + 16 * j + r] = b[j];
	if (type == PLUMB_Q2_K)
		return;
	const uint8_t *s = b + 4;
	for (int j = 0; j < 8; j++) {
		to[64 + 16 * j + r] = j < 4 ? s[j] & 63 : (uint8_t)((s[j + 4] & 15) | s[j - 4] >> 6 << 4);
		to[64 + 128 + 16 * j + r] = j < 4 ? s[j + 4] & 63 : (uint8_t)(s[j + 4] >> 4 | s[j] >> 6 << 4);
	}
}

static uint32_t packed_four(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* Byte by byte in 32-bit words: the same in either byte order. */
static void packed_put_numbers(int bits, const uint8_t q[PLUMB_BLOCK], int r, uint8_t *to)
{
	const int low = bits < 4 ? 0 : 4, above = bits - low;
	uint32_t v, two[2] = { 0, 0 }, one = 0;
	to += 4 * r;
	if (bits == 8) {
		for (int i = 0; i < 8; i++)
			memcpy(to + 64 * i, q + 4 * i, 4);
		return;
	}
	for (int i = 0; i < low; i++) {
		v = (packed_four(q + 4 * i) & 0x0f0f0f0f) | (packed_four(q + 16 + 4 * i) & 0x0f0f0f0f) << 4;
		memcpy(to + 64 * i, &v, 4);
	}
	to += 64 * low;
	for (int i = 0; i < 8; i++) {
		two[i / 4] |= (packed_four(q + 4 * i) >> low & 0x03030303) << i % 4 * 2;
		if (above % 2)
			one |= (packed_four(q + 4 * i) >> (bits - 1) & 0x01010101) << i;
	}
	for (int i = 0; i < 2 && above >= 2; i++, to += 64)
		memcpy(to, &two[i], 4);
	if (above % 2)
		memcpy(to, &one, 4);
}

/* --- a matrix --- */

struct pack {
	enum plumb_type type;
	const uint8_t *src;
	size_t row;
	const struct plumb_packed *to;
};

static void packed_pack_row(const struct pack *w, const uint8_t *src, int r, uint8_t *group)
{
	const struct plumb_packed_format f = plumb_packed_formats[w->type];
	uint8_t *scales = group, *q = group + plumb_packed_scales(w->type, w->to->k), numbers[PLUMB_BLOCK];
	for (int64_t b = 0; b < w->to->k / PLUMB_BLOCK; b++, q += plumb_packed_quants(w->type)) {
		if (f.k) {
			packed_k_numbers(w->type, src, (int)(b % 8), numbers);
			if (b % 8 == 0) {
				packed_k_scales(w->type, src, r, scales);
				scales += plumb_packed_scale(w->type);
			}
			src += b % 8 == 7 ? plumb_type_bytes(w->type) : 0;
		} else {
			packed_small_numbers(w->type, src, numbers);
			packed_small_scales(w->type, src, r, scales);
			scales += plumb_packed_scale(w->type);
			src += plumb_type_bytes(w->type);
		}
		packed_put_numbers(f.bits, numbers, r, q);
	}
}

static void packed_pack_groups(void *arg, int64_t first, int64_t end, int thread)
{
	const struct pack *w = arg;
	(void)thread;
	for (int64_t g = first; g < end; g++) {
		uint8_t *group = w->to->bytes + w->to->group * (size_t)g;
		if ((g + 1) * PLUMB_GROUP > w->to->rows)
			memset(group, 0, w->to->group);
		for (int r = 0; r < PLUMB_GROUP && g * PLUMB_GROUP + r < w->to->rows; r++)
			packed_pack_row(w, w->src + w->row * (size_t)(g * PLUMB_GROUP + r), r, group);
	}
}

/* --- the driver's functions --- */

/* Quantised, whole, and in a mode that wants it. */
static bool packed_has_form(const struct plumb_driver *driver, const struct plumb_tensor *w)
{
	return driver->ctx->mode != PLUMB_MODE_EXACT && w->rank == 2 && plumb_packed_formats[w->type].bits &&
		w->offset == 0 && plumb_tensor_bytes(w) == w->buffer->bytes;
}

enum plumb_status plumb_native_prepare(struct plumb_driver *driver, struct plumb_tensor *w)
{
	if (!packed_has_form(driver, w))
		return PLUMB_OK;
	PLUMB_TRY(plumb_buffer_resident(w->buffer, driver, true));
	struct plumb_packed *p = calloc(1, sizeof *p);
	if (!p)
		return plumb_fail(PLUMB_E_MEMORY, "no memory for a packed weight");
	*p = (struct plumb_packed){
		.type = w->type, .rows = w->dim[0], .k = w->dim[1], .group = plumb_packed_group(w->type, w->dim[1])
	};
	p->groups = (p->rows + PLUMB_PANEL - 1) / PLUMB_PANEL * 2;
	enum plumb_status s = PLUMB_OK;
	if (__builtin_mul_overflow((size_t)p->groups, p->group, &p->size) || p->size > SIZE_MAX - PLUMB_HUGE_PAGE)
		s = plumb_fail(PLUMB_E_MEMORY, "a packed weight of %lld groups overflows the address space",
			(long long)p->groups);
	if (!s && (s = plumb_budget_take(driver->ctx, p->size)))
		p->size = 0;
	if (!s &&
		!(p->bytes = plumb_chunk_take(&((struct plumb_native *)driver->state)->chunks, p->size, &p->chunk)))
		s = plumb_fail(
			PLUMB_E_MEMORY, "the system gave no %.1f MB for a packed weight", (double)p->size / 1e6);
	if (s) {
		plumb_native_unprepare(driver, p);
		return s;
	}
	struct pack work = { w->type, plumb_host(w), plumb_tensor_bytes(w) / (size_t)p->rows, p };
	plumb_native_split(driver, p->groups, 1 + (int64_t)((256 << 10) / p->group), packed_pack_groups, &work);
	w->buffer->copy[driver->index].prepared = p;
	return PLUMB_OK;
}

void plumb_native_unprepare(struct plumb_driver *driver, void *prepared)
{
	struct plumb_packed *p = prepared;
	struct plumb_native *n = driver->state;
	if (n->last == p)
		n->last = NULL;
	plumb_native_forget_next(driver);
	plumb_budget_give(driver->ctx, p->size);
	if (p->chunk)
		plumb_chunk_give(&n->chunks, p->chunk);
	free(p);
}

struct plumb_packed *plumb_native_packed(struct plumb_driver *driver, const struct plumb_tensor *w)
{
	struct plumb_packed *p = w->buffer->copy[driver->index].prepared;
	if (!p && packed_has_form(driver, w)) {
		struct plumb_tensor whole = *w;
		if (plumb_native_prepare(driver, &whole) == PLUMB_OK) /* else there is the way without */
			p = w->buffer->copy[driver->index].prepared;
	}
	return p && packed_has_form(driver, w) && p->type == w->type && p->rows == w->dim[0] && p->k == w->dim[1]
		? p
		: NULL;
}
