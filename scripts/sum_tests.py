"""Names what failed in JUnit files, and sums them into one line. The exit status is 1 when anything did."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

problems, *files = sys.argv[1:]
total = failed = skipped = 0
for file in files:
    root = ElementTree.parse(file).getroot()
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            said = (case.findtext("system-out") or "").strip().splitlines()
            print(f"failed: {case.get('name')} ({Path(file).stem})", *said[-3:], sep="\n    ")
    for suite in root.iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
if not failed and problems != "0":
    failed += 1  # a part broke before it could report
    total += 1
print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)
