#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a gateway does before it lets a tool call through: one POST /v1/check.

    ./gateway.py create_connect_token alice-laptop '{"reason": "demo"}'
"""
import json
import os
import sys
import uuid

import requests

URL = os.environ.get("RATION_URL", "http://127.0.0.1:7480") + "/v1/check"
session = requests.Session()  # kept: a check then costs one round trip
session.trust_env = False  # a check goes straight to the daemon
if "RATION_TOKEN" in os.environ:
    session.headers["Authorization"] = f"Bearer {os.environ['RATION_TOKEN']}"


def may_call(tool, grant, args):
    """(allowed, what to tell the caller, seconds to wait or None).

    No answer is a denial: a gateway that lets calls through while it cannot ask has
    no limits. A check that got none may have been charged, so it has a request id:
    sent once more with that, it is charged once.
    """
    body = {"tool": tool, "grant": grant, "args": args, "request_id": str(uuid.uuid4())}
    for last in (False, True):
        try:
            r = session.post(URL, json=body, timeout=0.5)
            answer = r.json()
            break
        except (requests.RequestException, ValueError) as e:
            if last:
                return False, f"no answer from ration: {e}", None
    if "verdict" not in answer:  # problem+json: the request itself is wrong
        return False, answer.get("detail", r.reason), None
    wait = r.headers.get("Retry-After")
    return answer["verdict"] == "allow", answer["message"], wait and int(wait)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: gateway.py TOOL GRANT [ARGS]")
    try:
        args = json.loads((sys.argv[3:] or ["{}"])[0])
    except ValueError as e:
        sys.exit(f"gateway.py: ARGS is not JSON: {e}")
    ok, message, wait = may_call(*sys.argv[1:3], args)
    print("allowed" if ok else f"denied: {message}" + (f" ({wait} s)" if wait else ""))
    sys.exit(0 if ok else 1)
