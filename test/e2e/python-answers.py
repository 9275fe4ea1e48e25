"""What the verifier in Python says of many receipts and signatures: JSON in, JSON out. The first argument is its folder."""

import base64
import json
import sys

sys.path.insert(0, sys.argv[1])

from notation import Malformed  # noqa: E402
from notes import parse_key, verifies  # noqa: E402
from receipts import check_receipt, parse_receipt  # noqa: E402


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


asked = json.load(sys.stdin)
json.dump({"receipts": list(map(receipt, asked["receipts"])), "signatures": list(map(signature, asked["signatures"]))}, sys.stdout)
