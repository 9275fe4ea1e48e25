"""
Verifies ledgers of Plait in Python, by docs/FORMAT.md alone:

    python verify_ledger.py receipt FILE --key VKEY [--payload FILE]
    python verify_ledger.py ledger --ledger ledger.json --bootstrap-server HOST:PORT
    python verify_ledger.py history FILE.json ...

Exit codes: 0 verified, 1 usage, 2 Kafka cannot be reached, 10 tampered, 12 split view, 14 cannot decide.
"""

import argparse
import json
import sys
from pathlib import Path

from audit import TAMPERED, VERIFIED, Audit, Finding, state_hash
from fold import Fold, Stop
from history import replay
from broker import Kafka, Unreachable
from notation import Malformed, b64, origin, topic
from notes import parse_key
from receipts import check_receipt, conclusion, parse_receipt

USAGE, UNREACHABLE = 1, 2


class Parser(argparse.ArgumentParser):
    """Ends with 1, not 2, when it is called wrongly."""

    def error(self, message: str) -> None:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def receipt(args: argparse.Namespace) -> int:
    """Verifies a receipt offline and prints each step."""
    key = parse_key(args.key)
    given = Path(args.payload).read_bytes() if args.payload else None
    try:
        found = parse_receipt(Path(args.file).read_bytes())
    except Malformed as error:
        print(f"refused: {error}")
        return TAMPERED
    ran = []
    for name, holds, says in check_receipt(found, key, given):
        ran.append(name)
        print(f"{'ok  ' if holds else 'FAIL'} {name}: {says}")
        if not holds:
            print(f"tampered: {name}")
            return TAMPERED
    if "payload" not in ran:
        print("not checked: the payload, which is not at hand")
    print(f"verified {conclusion(found)}")
    return VERIFIED


def ledger(args: argparse.Namespace) -> int:
    """Recomputes a whole ledger from Kafka."""
    file = json.loads(Path(args.ledger).read_text("utf-8"))
    if file.get("format") != "plait.ledger/v1":
        raise Malformed(f"{args.ledger} is no ledger file")
    audit = Audit(Fold(origin(file["origin"]), parse_key(file["ledgerKey"])))
    kafka = Kafka(args.bootstrap_server)
    try:
        log = kafka.log(topic(file["log"]))
        if log is None:
            raise Unreachable(f"there is no topic {file['log']}")
        audit.read_log(*log)
        audit.check_checkpoints()
        audit.check_snapshots()
        audit.check_records(kafka.records)
    finally:
        kafka.close()
    return report(audit)


def report(audit: Audit) -> int:
    """Says what was recomputed."""
    state, code = audit.fold.state, audit.verdict()
    print("verified" if code == VERIFIED else "undecided: some records cannot be checked any more")
    print(f"ledger {state.configuration.origin} {b64(state.ledger)}")
    print(f"blocks {state.height}, seqs {state.next_seq}, root of the headers {b64(state.history.root())}, state {state_hash(audit.fold)}")
    for name, count in sorted(audit.counts.items()):
        print(f"  {count} {name}")
    for name, count in sorted(audit.ignored.items()):
        print(f"  {count} ignored ({name})")
    print(f"not checked: {len(state.pending(state.position))} segments that no block has numbered yet; "
          "whether the whole log was rolled back to an earlier end: only who remembers a later checkpoint can tell")
    return code


def histories(args: argparse.Namespace) -> int:
    """Replays golden histories."""
    wrong = [found for found in map(replay, map(Path, args.files)) if found is not None]
    for found in wrong:
        print(found)
    print(f"{len(args.files) - len(wrong)} of {len(args.files)} histories as written")
    return TAMPERED if wrong else VERIFIED


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = Parser(description="Verifies ledgers of Plait.")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("receipt", help="verify a receipt, offline")
    one.add_argument("file")
    one.add_argument("--key", required=True, help="the checkpoint key, as a verifier key")
    one.add_argument("--payload", help="a file with the record's payload (section 3)")
    one.set_defaults(run=receipt)
    whole = commands.add_parser("ledger", help="recompute a whole ledger from Kafka")
    whole.add_argument("--ledger", required=True, help="its ledger.json")
    whole.add_argument("--bootstrap-server", required=True)
    whole.set_defaults(run=ledger)
    golden = commands.add_parser("history", help="replay golden histories")
    golden.add_argument("files", nargs="+")
    golden.set_defaults(run=histories)
    return parser.parse_args()


def main() -> int:
    """Runs a command; what it comes to is the exit code."""
    args = arguments()
    try:
        return args.run(args)
    except Finding as finding:
        print(finding)
        return finding.code
    except Unreachable as error:
        print(f"not reachable: {error}", file=sys.stderr)
        return UNREACHABLE
    except (Stop, Malformed, OSError, KeyError, ValueError) as error:
        print(f"cannot go on: {error}", file=sys.stderr)
        return USAGE


if __name__ == "__main__":
    sys.exit(main())
