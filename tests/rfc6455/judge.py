"""Reads the reports of tests/rfc6455/check: names what is wrong, and ends with the number of cases.

CONN-15, CONN-70, CONN-71 and CONN-72, by the cases of somebody else."""

import argparse
import json
import sys
from pathlib import Path

# What a case may come to, and its close. Informational: RFC 6455 leaves it open.
CONFORMS = {("OK", "OK"), ("INFORMATIONAL", "INFORMATIONAL")}
# Text in one frame that stops being UTF-8 before it ends may be refused at its end; the better way is at once.
NON_STRICT = {"6.4.1", "6.4.2", "6.4.3", "6.4.4"}
# The suite is content with a server that hangs up. Ours says why: the codes that end the cases of a section.
CODES = {
    "1": {1000},
    "2": {1000, 1002},
    "3": {1002},
    "4": {1002},
    "5": {1000, 1002},
    "6": {1000, 1007},
    "9": {1000},
    "10": {1000},
}
# Cases about closes: the code of each is its own, and one has none.
NO_CODE = "7.3.1"
# Where the RFC leaves it open, we have chosen: a message above the limit before a close, codes nobody has defined.
CHOSEN = {"7.1.6": 1009, "7.13.1": 1002, "7.13.2": 1002}


def wrong(case: str, came_to: dict, ours: bool) -> str | None:
    """What is wrong with the outcome of a case, if anything."""
    outcome = (came_to["behavior"], came_to["behaviorClose"])
    if outcome not in CONFORMS and not (outcome == ("NON-STRICT", "OK") and case in NON_STRICT):
        return f"{outcome[0]}, its close {outcome[1]}"
    code = came_to["remoteCloseCode"]
    if ours and code != CHOSEN.get(case, code):
        return f"closed with {code} instead of {CHOSEN[case]}"
    if code not in CODES.get(case.partition(".")[0], {code}) or (code is None) != (case == NO_CODE):
        return f"closed with {code}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, help="how many there are; then those we chose for are judged, too")
    parser.add_argument("reports", nargs="+", type=Path)
    arguments = parser.parse_args()

    judged: dict[str, str | None] = {}
    doubled, non_strict = [], []
    for report in arguments.reports:
        for cases in json.loads(report.read_text()).values():
            for case, came_to in cases.items():
                if case in judged:
                    doubled.append(case)
                judged[case] = wrong(case, came_to, arguments.cases is not None)
                if judged[case]:
                    judged[case] += f" ({report.parent / came_to['reportfile']})"
                elif came_to["behavior"] == "NON-STRICT":
                    non_strict.append(case)

    mistakes = [f"{case}: {mistake}" for case, mistake in judged.items() if mistake]
    mistakes += [f"{case}: ran twice" for case in doubled]
    if not judged or arguments.cases not in (None, len(judged)):
        mistakes.append(f"{len(judged)} cases ran, and there are {arguments.cases or 'more'}")
    if arguments.cases is not None:
        mistakes += [f"{case}: did not run" for case in CHOSEN.keys() - judged.keys()]
    for mistake in mistakes:
        print(f"tests/rfc6455: {mistake}", file=sys.stderr)
    if mistakes:
        return 1
    if non_strict:
        print(f"later than they could be refused: {' '.join(non_strict)}")
    print(f"{len(judged)} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
