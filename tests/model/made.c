/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>
#include "core/random.h"
#include "made.h"

static int64_t key_width(const struct made *m) { return m->key ? m->key : MADE_HIDDEN / MADE_HEADS; }
static int64_t value_width(const struct made *m) { return m->value ? m->value : MADE_HIDDEN / MADE_HEADS; }

static void size_of(const struct made *m, int matrix, int64_t *rows, int64_t *columns)
{
	const int64_t key = key_width(m), value = value_width(m);
	const int64_t sizes[MADE_MATRICES][2] = {
		{ MADE_HEADS * key, MADE_HIDDEN },
		{ MADE_KV * key, MADE_HIDDEN },
		{ MADE_KV * value, MADE_HIDDEN },
		{ MADE_HIDDEN, MADE_HEADS * value },
		{ MADE_FFN, MADE_HIDDEN },
		{ MADE_FFN, MADE_HIDDEN },
		{ MADE_HIDDEN, MADE_FFN },
	};
	*rows = sizes[matrix][0];
	*columns = sizes[matrix][1];
}

/* --- the file --- */

static uint64_t state;
static double random_value(void) /* -1 to 1 */
{
	return (double)(int32_t)(plumb_random(&state) >> 32) / 0x1p31;
}

struct writer {
	struct gguf_builder head, data;
	const struct made *m;
	int tensors;
};

/* Numbers with few digits, so that no type rounds them. */
static void tensor(struct writer *w, const char *name, enum plumb_type type, int64_t rows, int64_t columns,
	double middle, double spread, double *numbers)
{
	const int64_t n = rows * (columns ? columns : 1);
	const uint32_t ggml = type == PLUMB_F32 ? 0 : type == PLUMB_F16 ? 1 : 30;
	unsigned char bytes[MADE_MOST * 4];
	float values[MADE_MOST];
	for (int64_t i = 0; i < n; i++) {
		numbers[i] = middle + spread * round(random_value() * 32) / 32;
		values[i] = (float)numbers[i];
		ck_assert(type == PLUMB_F32 || (double)values[i] == numbers[i]);
		numbers[i] = (double)values[i];
	}
	if (w->m->without && !strcmp(w->m->without, name))
		return;
	ck_good(plumb_type_from_f32(type, values, bytes, n));
	g_tensor(&w->head, name, ggml, columns ? (uint64_t)columns : (uint64_t)rows, columns ? (uint64_t)rows : 0,
		w->data.n);
	g_bytes(&w->data, bytes, (size_t)n * (type == PLUMB_F32 ? 4 : 2));
	while (w->data.n % 32)
		g_uint(&w->data, 0, 1);
	w->tensors++;
}

static void layer_tensors(struct writer *w, struct made_model *numbers, int layer)
{
	static const char *const names[] = { "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up",
		"ffn_down" };
	static const char *const norms[] = { "attn_norm", "ffn_norm" };
	char name[64];
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "blk.%d.%s.weight", layer, norms[i]);
		tensor(w, name, w->m->vectors, MADE_HIDDEN, 0, 1, 0.5, numbers->layer[layer].norm[i]);
	}
	for (int i = 0; i < MADE_MATRICES; i++) {
		int64_t rows, columns;
		size_of(w->m, i, &rows, &columns);
		snprintf(name, sizeof name, "blk.%d.%s.weight", layer, names[i]);
		tensor(w, name, PLUMB_F32, rows, columns, 0, 0.5, numbers->layer[layer].w[i]);
		snprintf(name, sizeof name, "blk.%d.%s.bias", layer, names[i]);
		if (w->m->biases >> i & 1)
			tensor(w, name, w->m->vectors, rows, 0, 0, 0.5, numbers->layer[layer].b[i]);
	}
}

static void whole(struct gguf_builder *g, const char *name, uint32_t value)
{
	char key[64];
	snprintf(key, sizeof key, "qwen2.%s", name);
	g_key(g, key, G_U32);
	g_u32(g, value);
}

static void whole_or_list(struct gguf_builder *g, bool list, const char *name, uint32_t value)
{
	char key[64];
	if (!list) {
		whole(g, name, value);
		return;
	}
	snprintf(key, sizeof key, "qwen2.%s", name);
	g_array(g, key, G_I32, MADE_LAYERS);
	for (int i = 0; i < MADE_LAYERS; i++)
		g_u32(g, value);
}

static void real(struct gguf_builder *g, const char *name, double value)
{
	char key[64];
	float f = (float)value;
	snprintf(key, sizeof key, "qwen2.%s", name);
	g_key(g, key, G_F32);
	g_bytes(g, &f, sizeof f);
}

static void keys(struct gguf_builder *g, const struct made *m)
{
	int n = 9 + !!m->key + !!m->value + !!m->scaling + !!m->factor + !!m->old_factor + m->more_keys;
	g_header(g, 3, 0, (uint64_t)n); /* the number of tensors is put in later */
	g_key(g, "general.architecture", G_STRING);
	g_string(g, "qwen2");
	whole(g, "block_count", MADE_LAYERS);
	whole(g, "embedding_length", MADE_HIDDEN);
	whole(g, "context_length", 64);
	whole_or_list(g, m->lists, "feed_forward_length", MADE_FFN);
	whole_or_list(g, m->lists, "attention.head_count", MADE_HEADS);
	whole_or_list(g, m->lists, "attention.head_count_kv", MADE_KV);
	real(g, "attention.layer_norm_rms_epsilon", 1e-5);
	real(g, "rope.freq_base", 100);
	if (m->key)
		whole(g, "attention.key_length", (uint32_t)m->key);
	if (m->value)
		whole(g, "attention.value_length", (uint32_t)m->value);
	if (m->scaling) {
		g_key(g, "qwen2.rope.scaling.type", G_STRING);
		g_string(g, m->scaling);
	}
	if (m->factor)
		real(g, "rope.scaling.factor", m->factor);
	if (m->old_factor)
		real(g, "rope.scale_linear", m->old_factor);
	if (m->more)
		m->more(g);
}

void made_write(const struct made *m, struct made_model *numbers, char path[64])
{
	static struct writer w;
	double unused[MADE_HIDDEN];
	memset(&w, 0, sizeof w);
	memset(numbers, 0, sizeof *numbers);
	w.m = m;
	state = 20;
	keys(&w.head, m);
	tensor(&w, "token_embd.weight", PLUMB_F32, MADE_VOCAB, MADE_HIDDEN, 0, 2, numbers->embed);
	for (int i = 0; i < MADE_LAYERS; i++)
		layer_tensors(&w, numbers, i);
	tensor(&w, "output_norm.weight", m->vectors, MADE_HIDDEN, 0, 1, 0.5, numbers->norm);
	memcpy(numbers->output, numbers->embed, sizeof numbers->embed);
	if (m->own_output)
		tensor(&w, "output.weight", PLUMB_F32, MADE_VOCAB, MADE_HIDDEN, 0, 1, numbers->output);
	if (m->biases & PLUMB_BIAS_OUTPUT)
		tensor(&w, "output.bias", m->vectors, MADE_VOCAB, 0, 0, 4, numbers->output_bias);
	if (m->extra)
		tensor(&w, m->extra, PLUMB_F32, MADE_HIDDEN, 0, 1, 0, unused);
	memcpy(w.head.bytes + 8, &(uint64_t){ (uint64_t)w.tensors }, 8);
	while (w.head.n % 32)
		g_uint(&w.head, 0, 1);
	strcpy(path, "/tmp/plumb-made-XXXXXX");
	int fd = mkstemp(path);
	ck_assert(fd >= 0 && write(fd, w.head.bytes, w.head.n) == (ssize_t)w.head.n);
	ck_assert(write(fd, w.data.bytes, w.data.n) == (ssize_t)w.data.n);
	close(fd);
}

/* --- what it computes --- */

static void norm(double *y, const double *x, const double *w)
{
	double sum = 0;
	for (int i = 0; i < MADE_HIDDEN; i++)
		sum += x[i] * x[i];
	for (int i = 0; i < MADE_HIDDEN; i++)
		y[i] = w[i] * x[i] / sqrt(sum / MADE_HIDDEN + (double)1e-5f);
}

static void product(
	double *y, const double *x, const double *w, const double *b, int64_t rows, int64_t columns)
{
	for (int64_t i = 0; i < rows; i++) {
		y[i] = b ? b[i] : 0;
		for (int64_t k = 0; k < columns; k++)
			y[i] += w[i * columns + k] * x[k];
	}
}

static void turn(double *x, int64_t heads, int64_t width, double position)
{
	for (int64_t h = 0; h < heads; h++, x += width)
		for (int64_t j = 0; j < width / 2; j++) {
			double angle = position / pow(100, 2 * (double)j / (double)width), a = x[j], b = x[j + width / 2];
			x[j] = a * cos(angle) - b * sin(angle);
			x[j + width / 2] = a * sin(angle) + b * cos(angle);
		}
}

struct cache {
	double k[MADE_TOKENS][MADE_MOST], v[MADE_TOKENS][MADE_MOST];
};

static void attention(double *y, const double *q, const struct cache *c, int seen, int64_t key, int64_t value)
{
	for (int h = 0; h < MADE_HEADS; h++) {
		double p[MADE_TOKENS], sum = 0;
		int g = h * MADE_KV / MADE_HEADS;
		for (int t = 0; t < seen; t++) {
			double s = 0;
			for (int64_t j = 0; j < key; j++)
				s += q[h * key + j] * c->k[t][g * key + j];
			sum += p[t] = exp(s / sqrt((double)key));
		}
		for (int64_t j = 0; j < value; j++) {
			y[h * value + j] = 0;
			for (int t = 0; t < seen; t++)
				y[h * value + j] += p[t] / sum * c->v[t][g * value + j];
		}
	}
}

static void one_layer(
	const struct made *m, const struct made_model *n, int layer, struct cache *c, int position, double *x)
{
	double y[MADE_MATRICES][MADE_MOST], normed[MADE_HIDDEN], mix[MADE_MOST];
	int64_t rows, columns;
	norm(normed, x, n->layer[layer].norm[0]);
	for (int i = 0; i < MADE_MATRICES; i++) {
		if (i == MADE_O) {
			turn(y[MADE_Q], MADE_HEADS, key_width(m), position / m->turns);
			turn(y[MADE_K], MADE_KV, key_width(m), position / m->turns);
			memcpy(c->k[position], y[MADE_K], sizeof y[MADE_K]);
			memcpy(c->v[position], y[MADE_V], sizeof y[MADE_V]);
			attention(mix, y[MADE_Q], c, position + 1, key_width(m), value_width(m));
		}
		if (i == MADE_GATE)
			norm(normed, x, n->layer[layer].norm[1]);
		for (int j = 0; i == MADE_DOWN && j < MADE_FFN; j++)
			mix[j] = y[MADE_GATE][j] / (1 + exp(-y[MADE_GATE][j])) * y[MADE_UP][j];
		size_of(m, i, &rows, &columns);
		product(y[i], i == MADE_O || i == MADE_DOWN ? mix : normed, n->layer[layer].w[i],
			n->layer[layer].b[i], rows, columns);
		for (int j = 0; (i == MADE_O || i == MADE_DOWN) && j < MADE_HIDDEN; j++)
			x[j] += y[i][j];
	}
}

void made_logits(const struct made *m, const struct made_model *n, const int32_t *tokens, float *logits)
{
	static struct cache cache[MADE_LAYERS];
	for (int t = 0; t < MADE_TOKENS; t++) {
		double x[MADE_HIDDEN], y[MADE_VOCAB];
		memcpy(x, n->embed + tokens[t] * MADE_HIDDEN, sizeof x);
		for (int layer = 0; layer < MADE_LAYERS; layer++)
			one_layer(m, n, layer, &cache[layer], t, x);
		norm(x, x, n->norm);
		product(y, x, n->output, n->output_bias, MADE_VOCAB, MADE_HIDDEN);
		for (int i = 0; i < MADE_VOCAB; i++)
			logits[t * MADE_VOCAB + i] = (float)y[i];
	}
}
