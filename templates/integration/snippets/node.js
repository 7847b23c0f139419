// Reports a paid order. Needs Node 18 or newer, no packages. Run it on your server, in a background job: it waits
// between attempts. Repeating a call is safe: an order id counts once. Keep the token{% if signed %} and the secret{% endif %} out of your repository.
{%- if signed %}
const { createHash, createHmac } = require("node:crypto");
{%- endif %}

const POSTBACK_URL = {{ postback_url }};
const TOKEN = {{ token }};
{%- if signed %}
const SECRET = {{ secret }};
{%- endif %}
const GOAL = {{ goal }};

// Resolves to 0 when the order is stored, 1 when the call must be corrected, 2 when it is to be sent again later.
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

// Status and text of the answer; status 0 when there was none.
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
    return [0, `no answer: ${error.cause?.message ?? error.message}`];
  }
}
{%- if signed %}

// The time and what proves that the call is yours and was not changed on its way.
function sign(body) {
  const time = Math.floor(Date.now() / 1000);
  const { pathname, search } = new URL(POSTBACK_URL);
  const digest = createHash("sha256").update(`${pathname}${search}\n${body}`).digest("hex");
  const mac = createHmac("sha256", SECRET).update(`${time}.${digest}`).digest("hex");
  return `t=${time},v1=${mac}`;
}
{%- endif %}

// What is wrong and what to do about it.
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
