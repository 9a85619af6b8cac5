/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer entry for what the cl driver keeps on disk and reads again: the tuning file (JSON) and entries of
 * the kernel cache. The first byte chooses: even, the rest is a tuning file, for a CPU (0) or a GPU; odd, an
 * entry. What is broken is as if it were not there. */
#include "cl/driver/kernel.h"
#include "cl/tune/tune.h"
#include "folder.h"

static struct plumb_cl_state cl = { .device = { .info = { .platform = "Platform",
													.name = "Device",
													.version = "OpenCL 3.0",
													.driver = "1.0" } } };

/* Kernels of one line: the key holds a hash of their text, which must not change with ours. */
static void remove_kernels(void)
{
	insist(!unlink(folder_file("types.cl")) && !unlink(folder_file("matmul.cl")));
}

static void make_kernels(void)
{
	static char path[64];
	if (*path)
		return;
	strcpy(path, folder_path());
	strcpy(cl.set.libs, path);
	cl.set.path = path;
	folder_put("types.cl", (const uint8_t *)"x\n", 2);
	folder_put("matmul.cl", (const uint8_t *)"x\n", 2);
	atexit(remove_kernels);
}

static void insist_row(const struct plumb_tune_row *r)
{
	insist((int)r->type >= 0 && r->type < PLUMB_TYPE_COUNT && r->n > 0 && r->k > 0 && r->m > 0 &&
		r->m_low > 0 && r->m_high >= 0);
	insist(plumb_tune_variant(r->fixed) && plumb_tune_variant(r->chosen) &&
		(cl.cpu || r->chosen != PLUMB_CL_MT8));
	for (int i = 0; i < PLUMB_TUNE_VARIANTS; i++)
		insist(r->variant[i].seconds >= 0 && r->variant[i].timings >= 0);
}

/* A product of the row's shape takes a variant that this device has. */
static void choose(struct plumb_driver *driver, const struct plumb_tune_row *r)
{
	struct plumb_tensor x = { .rank = 2, .dim = { r->m, r->k } },
						w = { .type = r->type, .rank = 2, .dim = { r->n, r->k } };
	const struct plumb_call call = { .op = PLUMB_OP_matmul, .in = { &x, &w } };
	struct plumb_cl_choice choice;
	insist(plumb_cl_choice_product(driver, &call, &choice) == PLUMB_OK &&
		plumb_cl_variant_can(&cl, choice.variant));
}

static void forget(void)
{
	free(cl.tuning.rows);
	cl.tuning.rows = NULL;
	cl.tuning.count = 0;
	cl.tuning.read = false;
}

/* Read; what was taken is written, and the same is read again. */
static void tuning(const uint8_t *data, size_t size, bool cpu)
{
	struct plumb_driver driver = { .state = &cl };
	cl.cpu = cpu;
	plumb_cl_file_read(&driver); /* there is none: this finds its name */
	insist(*cl.tuning.file && !cl.tuning.count);
	forget();
	FILE *f = fopen(cl.tuning.file, "wb");
	insist(f && fwrite(data, 1, size, f) == size && !fclose(f));
	plumb_cl_file_read(&driver);
	for (int i = 0; i < cl.tuning.count; i++) {
		insist_row(&cl.tuning.rows[i]);
		choose(&driver, &cl.tuning.rows[i]);
	}
	if (cl.tuning.count) {
		int count = cl.tuning.count;
		struct plumb_tune_row first = cl.tuning.rows[0];
		insist(plumb_cl_file_write(&driver) == PLUMB_OK);
		forget();
		plumb_cl_file_read(&driver);
		insist(cl.tuning.count == count && cl.tuning.rows[0].n == first.n &&
			cl.tuning.rows[0].chosen == first.chosen && cl.tuning.rows[0].m_high == first.m_high);
	}
	forget();
	insist(!unlink(cl.tuning.file));
}

static void entry(const uint8_t *data, size_t size)
{
	static const char key[] = "key";
	char path[1100];
	unsigned char *binary;
	size_t n;
	insist(plumb_cl_cache_path(&cl, key, ".clbin", path));
	FILE *f = fopen(path, "wb");
	insist(f && fwrite(data, 1, size, f) == size && !fclose(f));
	if (plumb_cl_cache_load(&cl, key, &binary, &n)) {
		insist(n > 0 && n < size && !memcmp(binary, data + size - n, n));
		free(binary);
	}
	if (size) {
		plumb_cl_cache_store(&cl, key, data, size);
		insist(plumb_cl_cache_load(&cl, key, &binary, &n) && n == size && !memcmp(binary, data, n));
		free(binary);
	}
	insist(!unlink(path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	make_kernels();
	if (data[0] & 1)
		entry(data + 1, size - 1);
	else
		tuning(data + 1, size - 1, data[0] == 0);
	return 0;
}
