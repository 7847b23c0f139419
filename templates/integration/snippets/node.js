// Sends a postback for a paid order. Requires Node 18 or newer, no packages. Run this on your server in a background
// job, because it waits between attempts. Retries are safe: each order ID counts once.
// Keep the token{% if signed %} and the secret{% endif %} out of your repository.
{%- if signed %}
const { createHash, createHmac } = require("node:crypto");
{%- endif %}

const POSTBACK_URL = {{ postback_url }};
const TOKEN = {{ token }};
{%- if signed %}
const SECRET = {{ secret }};
{%- endif %}
const GOAL = {{ goal }};

// Resolves to 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
async function reportOrder(clickId, orderId, amount, currency) {
  const body = new URLSearchParams({
    click_id: clickId,
    goal: GOAL,
    order_id: orderId,
    amount, // a string such as "49.90", never a float
    currency,
  }).toString();
  for (let attempt = 1; attempt <= 5; attempt++) {
    if (attempt > 1) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * 2 ** (attempt - 2)));
    }
    const [status, text] = await send(body);
    if (status >= 200 && status < 300) {
      console.log(text);
      return 0;
    }
    if (status !== 0 && status !== 408 && status !== 429 && status < 500) {
      console.error(`${status} ${explain(text)}`);
      return 1;
    }
    console.error(`attempt ${attempt}: ${status || text}`);
  }
  return 2;
}

// Returns status and body of the response; the status is 0 if the request failed.
async function send(body) {
  try {
    const response = await fetch(POSTBACK_URL, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        "Content-Type": "application/x-www-form-urlencoded",
{%- if signed %}
        "X-Clickledger-Signature": sign(body),
{%- endif %}
      },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(10_000),
    });
    return [response.status, await response.text()];
  } catch (error) {
    return [0, `no response: ${error.cause?.message ?? error.message}`];
  }
}
{%- if signed %}

// Returns the value of the signature header: the timestamp and the HMAC of the request.
function sign(body) {
  const time = Math.floor(Date.now() / 1000);
  const { pathname, search } = new URL(POSTBACK_URL);
  const digest = createHash("sha256").update(`${pathname}${search}\n${body}`).digest("hex");
  const mac = createHmac("sha256", SECRET).update(`${time}.${digest}`).digest("hex");
  return `t=${time},v1=${mac}`;
}
{%- endif %}

// Returns the reason, message and hint of a rejected postback.
function explain(text) {
  try {
    const { reason, message, hint } = JSON.parse(text);
    return reason ? `${reason}: ${message} ${hint ?? ""}` : text;
  } catch {
    return text;
  }
}

reportOrder({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}).then((code) => {
  process.exitCode = code;
});
