/* SPDX-License-Identifier: Apache-2.0 */
/* plumb diag --help. The parts and their questions come from the library, so that a new one is listed by
 * itself. */
#include "cli/diag.h"
#include <string.h>

static const char rest[] =
	"Also:\n"
	"  dump         write the values of a run as a reference: --out, --format, --points\n"
	"  bisect       which operators of one driver must move to another for the answer to be right: --good, --bad\n"
	"  faults       list the bugs that --fault can put in\n"
	"\n"
	"  --tokens IDS         the prompt as token ids (default: as the reference declares, or found from its embeddings)\n"
	"  --prompt TEXT        the prompt as plain text\n"
	"  --chat TEXT          the prompt as a message in the model's chat template\n" CLI_TEMPLATE_HELP
	"  --layer N            look into this layer only (isolate, components, trace)\n"
	"  --layers N           evaluate the first N layers only\n"
	"  --fault NAME[@LAYER][=VALUE]  break the port on purpose\n"
	"  --html FILE          of report: write one self-contained page, and print the verdict only (also --out FILE)\n"
	"  --out FOLDER         of dump: where to\n"
	"  --format F           of dump: safetensors (default, every position) or bin (the last position)\n"
	"  --points LIST        of dump: capture points, e.g. embeddings,output,logits (default: all)\n"
	"  --good LIST          of bisect: drivers that are right (default native)\n"
	"  --bad LIST           of bisect: drivers that are not (default cl)\n"
	"  --tolerance X        of bisect: relative error of the logits that is still right (default 1e-3)\n" CLI_COMMON_HELP
	"\n"
	"Exit codes of report and verdict: 0 right, 20 right once the reference's convention is undone, 21 right as far as\n"
	"the reference's precision can tell, 22 a real divergence, 23 the reference cannot be used. Of several references\n"
	"the gravest counts: 22, 23, 21, 20, 0. bisect: 0 the drivers agree, 22 they do not.\n"
	"\n"
	"Examples:\n"
	"  plumb diag report model.gguf reference/ --html report.html\n"
	"  plumb diag report model.gguf hello-bf16/ chat-bf16/ --driver cl --json\n"
	"  plumb diag components model.gguf reference.safetensors --layer 5\n"
	"  plumb diag dump model.gguf --chat \"Hello\" --out mine --format bin\n"
	"  plumb diag bisect model.gguf --good native --bad cl --tokens 9707\n"
	"  plumb diag verdict model.gguf reference/ --fault k_bias@5      # see that a missing K bias is found\n"
	"  plumb diag stability model.gguf --prompt \"The quick brown fox\"\n";

static void diag_help_list_parts(void)
{
	const char *name, *question;
	bool needs;
	puts("\nParts, and the question that each answers; with (*), REFERENCE may be left out:");
	for (int i = 0; plumb_diag_row(i, &name, &question, &needs); i++)
		printf("  %-12s %s%s\n", name, question, needs || !strcmp(name, "report") ? "" : " (*)");
}

void cli_diag_help(const struct cli_command *diag, const char *check)
{
	const char *name, *question;
	bool needs;
	for (int i = 0; plumb_diag_row(i, &name, &question, &needs); i++)
		if (!strcmp(name, check)) {
			const char *reference = !strcmp(name, "report") ? "REFERENCE..."
				: needs                                     ? "REFERENCE"
															: "[REFERENCE]";
			printf(
				"Usage: plumb diag %s MODEL %s [options]\n%s\n\n'plumb diag --help' lists the options and says what a REFERENCE is.\n",
				name, reference, question);
			return;
		}
	fputs(diag->help, stdout);
	diag_help_list_parts();
	fputs(rest, stdout);
}
