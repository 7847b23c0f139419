"""Sends a postback for a paid order. Requires Python 3.8 or newer, no packages.

Run this on your server in a background job, because it waits between attempts. Retries are safe: each order ID
counts once. Keep the token{% if signed %} and the secret{% endif %} out of your repository.
"""
{%- if signed %}
import hashlib
import hmac
{%- endif %}
import http.client
import json
import sys
import time
import urllib.parse
import urllib.request

POSTBACK_URL = {{ postback_url }}
TOKEN = {{ token }}
{%- if signed %}
SECRET = {{ secret }}
{%- endif %}
GOAL = {{ goal }}


def report_order(click_id, order_id, amount, currency):
    """Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later."""
    body = urllib.parse.urlencode({
        "click_id": click_id,
        "goal": GOAL,
        "order_id": order_id,
        "amount": amount,  # a string such as "49.90", never a float
        "currency": currency,
    }).encode()
    for attempt in range(1, 6):
        if attempt > 1:
            time.sleep(2 ** (attempt - 2))
        status, text = send(body)
        if 200 <= status < 300:
            print(text)
            return 0
        if status not in (0, 408, 429) and status < 500:
            print(status, explain(text), file=sys.stderr)
            return 1
        print(f"attempt {attempt}: {status or text}", file=sys.stderr)
    return 2


class RawResponses(urllib.request.HTTPErrorProcessor):
    """Returns every response unchanged: no redirects, no exceptions for 4xx or 5xx."""

    def http_response(self, request, response):
        return response

    https_response = http_response


def send(body):
    """Returns status and body of the response; the status is 0 if the request failed."""
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/x-www-form-urlencoded",
{%- if signed %}
        "X-Clickledger-Signature": sign(body),
{%- endif %}
    }
    request = urllib.request.Request(POSTBACK_URL, body, headers)
    try:
        with urllib.request.build_opener(RawResponses).open(request, timeout=10) as response:
            return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no response: {error}"
{%- if signed %}


def sign(body):
    """Returns the value of the signature header: the timestamp and the HMAC of the request."""
    now = int(time.time())
    url = urllib.parse.urlsplit(POSTBACK_URL)
    target = url.path + ("?" + url.query if url.query else "")
    digest = hashlib.sha256(target.encode() + b"\n" + body).hexdigest()
    mac = hmac.new(SECRET.encode(), f"{now}.{digest}".encode(), hashlib.sha256).hexdigest()
    return f"t={now},v1={mac}"
{%- endif %}


def explain(text):
    """Returns the reason, message and hint of a rejected postback."""
    try:
        answer = json.loads(text)
        return f"{answer['reason']}: {answer['message']} {answer['hint'] or ''}"
    except (ValueError, KeyError, TypeError):
        return text


if __name__ == "__main__":
    sys.exit(report_order({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}))
