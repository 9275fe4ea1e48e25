"""Golden histories (docs/FORMAT.md, at its beginning): replays them and compares outcomes and states."""

import base64
import json
from pathlib import Path

from fold import Fold, Stop
from notation import b64, sha256
from notes import parse_key


def replay(path: Path) -> str | None:
    """None if each outcome and each state hash is what the file says; else the first that is not."""
    history = json.loads(path.read_text("utf-8"))
    fold = Fold(history["origin"], parse_key(history["ledgerKey"]), history.get("knows", 1))
    for message in history["messages"]:
        found = step(fold, message)
        wanted = {"outcome": message["outcome"], "stateHash": message["stateHash"]}
        if found != wanted:
            return f"{path.name}, position {message['position']}: wanted {json.dumps(wanted)}, found {json.dumps(found)}"
    return None


def step(fold: Fold, message: dict) -> dict:
    """One message's outcome and the hash of the state after it."""
    try:
        outcome = fold.apply(int(message["position"]), bytes_of(message))
    except Stop:
        return {"outcome": {"kind": "stop", "code": "config"}, "stateHash": None}
    return {"outcome": outcome, "stateHash": None if fold.state is None else b64(sha256(fold.state.text()))}


def bytes_of(message: dict) -> bytes:
    """A message's bytes: `text`, `base64`, or `parts` joined."""
    if "base64" in message:
        return base64.b64decode(message["base64"])
    if "text" in message:
        return message["text"].encode()
    return "".join(part if isinstance(part, str) else repeated(part) for part in message["parts"]).encode()


def repeated(part: dict) -> str:
    """`repeat`, once for each n."""
    return "".join(part["repeat"].replace("{n}", str(n)) for n in range(part["from"], part["below"]))
