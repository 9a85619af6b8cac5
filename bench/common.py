# SPDX-License-Identifier: Apache-2.0
"""What the programs of this folder share: lists of numbers, running a bench program, writing a file at once or not at all."""
import json, os, shlex, subprocess, sys, time

def numbers(text):
    return [int(x) for x in text.split(",") if x]

def run_json(call, tool):
    """The JSON that the program prints, the seconds it took and its usage of resources; ends the tool when there is none."""
    start = time.monotonic()
    child = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    try:
        return json.loads(out), time.monotonic() - start, usage
    except ValueError:
        sys.exit(f"{tool}: no result from: {shlex.join(call)} (exit code {child.returncode})")

def progress(text, last=False):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)

def write(path, text):
    with open(path + ".tmp", "w") as f:
        f.write(text)
    os.replace(path + ".tmp", path)
