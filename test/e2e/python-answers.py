"""What the verifier in Python says of many receipts, signatures and ledgers: JSON in, JSON out. The first argument is its folder."""

import base64
import json
import sys

sys.path.insert(0, sys.argv[1])

from audit import Audit, Finding  # noqa: E402
from broker import Held  # noqa: E402
from fold import Fold, Stop  # noqa: E402
from history import step  # noqa: E402
from notation import Malformed  # noqa: E402
from notes import parse_key, verifies  # noqa: E402
from receipts import check_receipt, parse_receipt  # noqa: E402
from trees import leaf_hash, leaf_of  # noqa: E402


def receipt(case: dict) -> str:
    """`refused`, the step that fails, or the last step that holds with `ok` before it."""
    try:
        found = parse_receipt(base64.b64decode(case["file"]))
    except Malformed:
        return "refused"
    given = base64.b64decode(case["payload"]) if "payload" in case else None
    name, holds, _ = list(check_receipt(found, parse_key(case["key"]), given))[-1]
    return f"ok {name}" if holds else name


def signature(case: dict) -> bool:
    """Whether it is valid."""
    return verifies(*(bytes.fromhex(case[name]) for name in ("publicKey", "signature", "message")))


def ledger(case: dict) -> dict:
    """Each message's outcome with the hash of the state after it, and what an audit comes to."""
    fold = Fold(case["origin"], parse_key(case["ledgerKey"]))
    steps = [step(fold, message) for message in case["messages"]] if case["steps"] else []
    return {"steps": steps, "audit": audit(case)}


def audit(case: dict) -> dict:
    """The exit code; where it is not that of a finding, how many seqs are what."""
    held = {(topic, number): held_of(partition) for topic, number, partition in case["partitions"]}
    found = Audit(Fold(case["origin"], parse_key(case["ledgerKey"])))
    try:
        found.read_log(0, [(int(message["position"]), base64.b64decode(message["base64"])) for message in case["messages"]])
        found.check_checkpoints()
        found.check_records(lambda topic, number: held.get((topic, number)))
    except Finding as finding:
        return {"code": finding.code, "says": str(finding)}
    except Stop as stop:
        return {"code": 1, "says": str(stop)}
    return {"code": found.verdict(), "counts": {name: found.counts[name] for name in ("block", "records", "lost", "void", "gone")}}


def held_of(partition: dict) -> Held:
    """A partition from JSON: records as offset, timestamp and payload."""
    records = [(int(offset), int(timestamp), base64.b64decode(payload)) for offset, timestamp, payload in partition["records"]]
    leaves = [leaf_hash(leaf_of(*record)) for record in records]
    return Held(int(partition["start"]), int(partition["end"]), [offset for offset, _, _ in records], leaves)


ANSWERS = {"receipts": receipt, "signatures": signature, "ledgers": ledger}

json.dump({name: list(map(ANSWERS[name], cases)) for name, cases in json.load(sys.stdin).items()}, sys.stdout)
