/* SPDX-License-Identifier: Apache-2.0 */
/* plumb info: what a model file holds. Only the file's head is read, no weights, so that it
 * is quick and works on models that plumb cannot run. */
#include "cli/info.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int info_run(int argc, char **argv);

const struct cli_command cli_info = { "info",
	"show what a model file holds: configuration, tokenizer, tensors, template",
	"Usage: plumb info MODEL [options]\n"
	"Reads GGUF and safetensors files, without loading weights.\n"
	"\n"
	"  --tensors            list every tensor, not only the sums per type\n"
	"  --meta               list the file's metadata\n"
	"  --template           print the chat template and nothing else\n"
	"  --json               all of it, machine-readable\n"
	"  -h, --help           this text\n"
	"\n"
	"Examples:\n"
	"  plumb info model.gguf\n"
	"  plumb info model.gguf --tensors | grep blk.2.\n"
	"  plumb info model.gguf --template > template.jinja\n"
	"  plumb info model.gguf --json | python3 -m json.tool\n",
	info_run };

static const struct option options[] = { { "json", no_argument, NULL, 1002 },
	{ "help", no_argument, NULL, 'h' }, { "tensors", no_argument, NULL, 'a' },
	{ "meta", no_argument, NULL, 'm' }, { "template", no_argument, NULL, 'p' }, { NULL, 0, NULL, 0 } };

static int64_t info_elements(const struct plumb_file_tensor *t)
{
	int64_t n = 1;
	for (int i = 0; i < t->rank; i++)
		n *= t->dim[i];
	return n;
}

/* The sum of a type; the last one takes what does not fit. */
static struct info_sum *info_sum_of(struct info_facts *f, const char *name)
{
	int i = 0;
	while (i < INFO_TYPES - 1 && f->sum[i].name && strcmp(f->sum[i].name, name))
		i++;
	f->sum[i].name = name;
	return &f->sum[i];
}

static void info_gather(struct info_facts *f)
{
	enum plumb_status s = plumb_config_read(&f->config, f->file);
	f->has_config = !s;
	cli_starved |= s == PLUMB_E_MEMORY; /* not a fault of the file */
	if (!s)
		s = plumb_model_check(f->file);
	if (s)
		snprintf(f->config_error, sizeof f->config_error, "%s", plumb_last_error());
	if (!strcmp(plumb_file_format(f->file), "safetensors")) /* the key it lacks would be a GGUF one */
		strcpy(f->config_error, "a safetensors file has no configuration, only tensors"),
			strcpy(f->tok_error, "a safetensors file has no tokenizer");
	else if ((s = plumb_tokenizer_from_file(&f->tok, f->file))) {
		snprintf(f->tok_error, sizeof f->tok_error, "%s", plumb_last_error());
		cli_starved |= s == PLUMB_E_MEMORY;
	}
	for (size_t i = 0; f->tok && i < plumb_tokenizer_size(f->tok); i++)
		f->specials += plumb_tokenizer_is_special(f->tok, (int32_t)i);
	for (int64_t i = 0; i < plumb_file_tensors(f->file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(f->file, i);
		struct info_sum *sums[] = { info_sum_of(f, t->type_name), &f->all };
		for (int k = 0; k < 2; k++) {
			sums[k]->tensors++;
			sums[k]->elements += info_elements(t);
			sums[k]->bytes += t->bytes;
		}
	}
}

/* 491400064 as "491,400,064", in one of a few buffers that take turns. */
static const char *info_grouped(uint64_t value)
{
	static char text[8][32];
	static int turn;
	char *p = text[turn++ % 8] + 31;
	*p = 0;
	for (int digit = 0; digit == 0 || value; digit++, value /= 10) {
		if (digit && digit % 3 == 0)
			*--p = ',';
		*--p = (char)('0' + value % 10);
	}
	return p;
}

static void info_print_line(const char *what, struct plumb_span value)
{
	printf("%-12s ", what);
	cli_put_escaped(value, 300);
	putchar('\n');
}

static void info_print_biases(const struct plumb_config *c)
{
	static const char *const names[] = { "Q", "K", "V", "attention's output", "gate", "up", "down",
		"logits" };
	bool first = true;
	printf("%-12s %s", "family", c->family);
	for (int i = 0; i < 8; i++)
		if (c->biases >> i & 1) {
			printf("%s%s", first ? ", biases on " : ", ", names[i]);
			first = false;
		}
	putchar('\n');
}

/* " in 15 of 18 layers"; nothing where it is all of them. */
static void info_print_layers(const struct plumb_config *c, int64_t count)
{
	if (count < c->layers)
		printf(" in %lld of %lld layers", (long long)count, (long long)c->layers);
	putchar('\n');
}

static void info_print_rope(const struct plumb_config *c)
{
	const struct plumb_layer_config *full = &c->kind[0], *other = NULL;
	int64_t rotated = 0, windowed = 0;
	for (int64_t i = 0; i < c->layers; i++) {
		const struct plumb_layer_config *l = plumb_config_layer(c, i);
		rotated += l->rope;
		windowed += l->window != 0;
		other = l->window ? l : other;
	}
	printf("%-12s base %g, %s pairs", "rope", full->rope_base,
		c->rope_pairs == PLUMB_ROPE_HALF ? "half-split" : "interleaved");
	if (other && other->rope_base != full->rope_base)
		printf(", base %g where there is a window", other->rope_base);
	if (c->rotated != c->head_dim)
		printf(", of %lld of %lld elements of a head", (long long)c->rotated, (long long)c->head_dim);
	if (c->rope_scaling == PLUMB_ROPE_SCALING_LINEAR)
		printf(", positions divided by %g", c->rope_factor);
	else if (c->rope_scaling)
		printf(", scaled (%s)", plumb_rope_scaling_name((int)c->rope_scaling));
	info_print_layers(c, rotated);
	if (windowed) {
		printf("%-12s of %lld positions", "window", (long long)other->window);
		info_print_layers(c, windowed);
	}
}

static void info_print_norms(const struct plumb_config *c)
{
	static const struct {
		unsigned norm;
		const char *text;
	} words[] = {
		{ PLUMB_NORM_BEFORE, "before" },
		{ PLUMB_NORM_AFTER, "after" },
		{ PLUMB_NORM_HEAD, "of each head of queries and keys" },
		{ PLUMB_NORM_WIDTH, "of queries and keys" },
	};
	const char *comma = " ";
	printf("%-12s RMSNorm, eps %g,", "norm", c->norm_eps);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (c->norms & words[i].norm) {
			printf("%s%s", comma, words[i].text);
			comma = ", ";
		}
	printf("\n%-12s %s\n", "activation",
		c->activation == PLUMB_GELU_TANH ? "GELU (tanh), gated" : "SiLU, gated");
	if (c->embedding_scale != 1 || c->residual_scale != 1 || c->logit_scale != 1)
		printf("%-12s embeddings times %g, blocks' results times %g, logits times %g\n", "scales",
			c->embedding_scale, c->residual_scale, c->logit_scale);
}

static void info_print_config(const struct info_facts *f)
{
	const struct plumb_config *c = &f->config;
	if (f->config_error[0]) {
		printf("%-12s plumb cannot run it: ", "model");
		cli_put_escaped(
			(struct plumb_span){ f->config_error, strlen(f->config_error) }, sizeof f->config_error);
		putchar('\n');
	}
	if (!f->has_config)
		return;
	uint64_t kv = (uint64_t)c->layers * (uint64_t)c->kv_heads * (uint64_t)(c->head_dim + c->value_dim);
	info_print_line(
		"model", (struct plumb_span){ c->name[0] ? c->name : "(no name)", c->name[0] ? strlen(c->name) : 9 });
	info_print_biases(c);
	printf("%-12s %s layers, %s wide, FFN %s\n", "size", info_grouped((uint64_t)c->layers),
		info_grouped((uint64_t)c->hidden), info_grouped((uint64_t)c->ffn));
	printf("%-12s %s parameters\n", "", info_grouped((uint64_t)f->all.elements));
	printf("%-12s %s query heads, %s key-value heads, %s wide\n", "attention",
		info_grouped((uint64_t)c->heads), info_grouped((uint64_t)c->kv_heads),
		info_grouped((uint64_t)c->head_dim));
	info_print_rope(c);
	info_print_norms(c);
	printf("%-12s %s tokens, %s\n", "vocabulary", info_grouped((uint64_t)c->vocab),
		c->tied ? "output shares the embedding's matrix" : "output has a matrix of its own");
	printf("%-12s %s positions; KV cache %s bytes each in f32, %s in f16\n", "context",
		info_grouped((uint64_t)c->context), info_grouped(4 * kv), info_grouped(2 * kv));
}

static void info_print_token(const char *what, const struct plumb_tokenizer *tok, int32_t id)
{
	if (id < 0) {
		printf("%s none", what);
		return;
	}
	printf("%s %d \"", what, id);
	cli_put_escaped(plumb_token_bytes(tok, id), 40);
	putchar('"');
}

static void info_print_tokenizer(const struct info_facts *f)
{
	const struct plumb_meta *merges = plumb_file_meta_find(f->file, "tokenizer.ggml.merges");
	struct plumb_span split = info_text(f->file, "tokenizer.ggml.pre"),
					  chat = info_text(f->file, "tokenizer.chat_template");
	if (!f->tok) {
		info_print_line("tokenizer", (struct plumb_span){ f->tok_error, strlen(f->tok_error) });
	} else {
		printf("%-12s byte-level BPE, split \"", "tokenizer");
		cli_put_escaped(split, 40);
		printf("\", %s tokens (%d special), %s merges\n%-12s ", info_grouped(plumb_tokenizer_size(f->tok)),
			f->specials, info_grouped(merges && merges->kind == PLUMB_META_ARRAY ? merges->n : 0), "");
		info_print_token("begin", f->tok, plumb_tokenizer_bos(f->tok));
		info_print_token(", end", f->tok, plumb_tokenizer_eos(f->tok));
		putchar('\n');
		for (int i = 0; plumb_tokenizer_warning(f->tok, i); i++)
			info_print_line("",
				(struct plumb_span){
					plumb_tokenizer_warning(f->tok, i), strlen(plumb_tokenizer_warning(f->tok, i)) });
	}
	if (chat.p)
		printf("%-12s %s bytes, %s%s; --template prints it\n", "template", info_grouped(chat.n),
			f->tok && plumb_tokenizer_template(f->tok) ? "rendered as " : "of no kind that plumb renders",
			f->tok && plumb_tokenizer_template(f->tok) ? plumb_tokenizer_template(f->tok) : "");
	else
		printf("%-12s none\n", "template");
}

static void info_print_sums(const struct info_facts *f)
{
	printf("\n%-8s %8s %16s %16s %7s  %s\n", "type", "tensors", "elements", "bytes", "share", "bits each");
	for (int i = 0; i <= INFO_TYPES; i++) {
		const struct info_sum *s = i < INFO_TYPES ? &f->sum[i] : &f->all;
		if (s->tensors)
			printf("%-8s %8s %16s %16s %6.1f%%  %.3g\n", i < INFO_TYPES ? s->name : "all",
				info_grouped((uint64_t)s->tensors), info_grouped((uint64_t)s->elements),
				info_grouped(s->bytes), 100 * (double)s->bytes / (double)f->all.bytes,
				8 * (double)s->bytes / (double)s->elements);
	}
	if (!f->all.tensors)
		puts("(no tensors)");
}

static void info_print_tensors(const struct info_facts *f)
{
	printf("\n%-36s %-6s %-20s %14s\n", "tensor", "type", "shape", "bytes");
	for (int64_t i = 0; i < plumb_file_tensors(f->file); i++) {
		const struct plumb_file_tensor *t = plumb_file_tensor(f->file, i);
		char shape[128] = "{";
		size_t n = 1;
		for (int k = 0; k < t->rank; k++)
			n += (size_t)snprintf(shape + n, sizeof shape - n, "%s%" PRId64, k ? ", " : "", t->dim[k]);
		cli_put_escaped(t->name, 200);
		printf("%*s %-6s %s}%*s %14s\n", t->name.n < 36 ? (int)(36 - t->name.n) : 0, "", t->type_name, shape,
			n < 19 ? (int)(19 - n) : 0, "", info_grouped(t->bytes));
	}
}

static void info_print_value(const struct plumb_meta *m, enum plumb_meta_kind kind, int64_t i, uint64_t u,
	double f, struct plumb_span s)
{
	static const char *const names[] = { "booleans", "integers", "reals", "strings", "arrays" };
	switch (kind) {
	case PLUMB_META_BOOL: fputs(i ? "true" : "false", stdout); break;
	case PLUMB_META_INT:
		printf(u > INT64_MAX ? "%" PRIu64 : "%" PRId64, u > INT64_MAX ? u : (uint64_t)i);
		break;
	case PLUMB_META_FLOAT: printf("%g", f); break;
	case PLUMB_META_STRING:
		putchar('"');
		cli_put_escaped(s, 120);
		putchar('"');
		break;
	case PLUMB_META_ARRAY:
		printf("%s %s:", info_grouped(m->n), names[m->of]);
		for (uint64_t k = 0; k < m->n && k < 6; k++) {
			putchar(' ');
			info_print_value(m, m->of,
				m->of == PLUMB_META_INT || m->of == PLUMB_META_BOOL ? plumb_meta_int_at(m, k) : 0,
				m->of == PLUMB_META_INT ? plumb_meta_uint_at(m, k) : 0,
				m->of == PLUMB_META_FLOAT ? plumb_meta_float_at(m, k) : 0,
				m->of == PLUMB_META_STRING ? plumb_meta_string_at(m, k) : (struct plumb_span){ NULL, 0 });
		}
		if (m->n > 6)
			fputs(" ...", stdout);
		break;
	}
}

static void info_print_meta(const struct info_facts *f)
{
	printf("\n%-40s value\n", "key");
	for (int64_t i = 0; i < plumb_file_metas(f->file); i++) {
		const struct plumb_meta *m = plumb_file_meta(f->file, i);
		cli_put_escaped(m->key, 200);
		printf("%*s ", m->key.n < 40 ? (int)(40 - m->key.n) : 0, "");
		info_print_value(m, m->kind, m->i, m->u, m->f, m->s);
		putchar('\n');
	}
}

static int info_print_template(const struct info_facts *f)
{
	struct plumb_span chat = info_text(f->file, "tokenizer.chat_template");
	if (!chat.p)
		return cli_complain(CLI_INPUT, "%s has no chat template", f->path);
	fwrite(chat.p, 1, chat.n, stdout);
	if (!chat.n || chat.p[chat.n - 1] != '\n')
		putchar('\n');
	return CLI_OK;
}

static int info_show(
	struct info_facts *f, const struct cli_common *common, bool tensors, bool meta, bool only_template)
{
	if (only_template)
		return info_print_template(f);
	info_gather(f);
	if (common->json)
		return info_json(f);
	info_print_line("file", (struct plumb_span){ f->path, strlen(f->path) });
	printf(
		"%-12s %s, %s bytes", "format", plumb_file_format(f->file), info_grouped(plumb_file_size(f->file)));
	printf(plumb_file_shards(f->file) > 1 ? " in %s parts\n" : "\n",
		info_grouped((uint64_t)plumb_file_shards(f->file)));
	info_print_config(f);
	info_print_tokenizer(f);
	printf("%-12s %s keys%s\n", "metadata", info_grouped((uint64_t)plumb_file_metas(f->file)),
		meta ? "" : "; --meta lists them");
	cli_unused_print(f->file);
	info_print_sums(f);
	if (tensors)
		info_print_tensors(f);
	if (meta)
		info_print_meta(f);
	return CLI_OK;
}

static int info_run(int argc, char **argv)
{
	struct cli_common common = { .json = false };
	bool tensors = false, meta = false, only_template = false;
	int option, leave;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		switch (option) {
		case 'a': tensors = true; break;
		case 'm': meta = true; break;
		case 'p': only_template = true; break;
		default:
			if ((leave = cli_common_option(&common, &cli_info, option, optarg)))
				return leave - 1;
		}
	if (optind == argc)
		return cli_complain(CLI_USAGE, "info needs a model file; try 'plumb info --help'");
	if (optind + 1 < argc)
		return cli_complain(CLI_USAGE, "one model file only, but \"%s\" follows", argv[optind + 1]);
	if (only_template && (common.json || tensors || meta))
		return cli_complain(
			CLI_USAGE, "--template prints the template alone: leave out --json, --tensors and --meta");
	struct plumb_file *file;
	enum plumb_status s = plumb_file_open(&file, argv[optind]);
	if (s)
		return cli_fail(s);
	struct info_facts f = { .path = argv[optind], .file = file };
	int code = info_show(&f, &common, tensors, meta, only_template);
	plumb_tokenizer_free(f.tok);
	plumb_file_close(file);
	return code;
}
