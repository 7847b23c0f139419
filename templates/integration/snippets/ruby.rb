# Sends a postback for a paid order. Requires Ruby 2.7 or newer, no gems. Run this on your server in a background
# job, because it waits between attempts. Retries are safe: each order ID counts once.
# Keep the token{% if signed %} and the secret{% endif %} out of your repository.
require "json"
require "net/http"
require "openssl"
require "uri"

POSTBACK_URL = URI({{ postback_url }})
TOKEN = {{ token }}
{%- if signed %}
SECRET = {{ secret }}
{%- endif %}
GOAL = {{ goal }}

# Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
# The amount is a string such as "49.90", never a float.
def report_order(click_id, order_id, amount, currency)
  body = URI.encode_www_form(
    click_id: click_id, goal: GOAL, order_id: order_id, amount: amount, currency: currency
  )
  (1..5).each do |attempt|
    sleep 2**(attempt - 2) if attempt > 1
    status, text = post(body)
    if status.between?(200, 299)
      puts text
      return 0
    end
    unless [0, 408, 429].include?(status) || status >= 500
      warn "#{status} #{explain(text)}"
      return 1
    end
    warn "attempt #{attempt}: #{status.zero? ? text : status}"
  end
  2
end

# Returns status and body of the response; the status is 0 if the request failed.
def post(body)
  headers = {
    "Authorization" => "Bearer #{TOKEN}",
    "Content-Type" => "application/x-www-form-urlencoded",
{%- if signed %}
    "X-Clickledger-Signature" => sign(body),
{%- endif %}
  }
  options = { use_ssl: POSTBACK_URL.scheme == "https", open_timeout: 10, read_timeout: 10 }
  response = Net::HTTP.start(POSTBACK_URL.host, POSTBACK_URL.port, options) do |http|
    http.post(POSTBACK_URL.request_uri, body, headers)
  end
  [response.code.to_i, response.body.to_s]
rescue SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::HTTPBadResponse => error
  [0, "no response: #{error.message}"]
end
{%- if signed %}

# Returns the value of the signature header: the timestamp and the HMAC of the request.
def sign(body)
  time = Time.now.to_i
  digest = OpenSSL::Digest::SHA256.hexdigest("#{POSTBACK_URL.request_uri}\n#{body}")
  "t=#{time},v1=#{OpenSSL::HMAC.hexdigest("SHA256", SECRET, "#{time}.#{digest}")}"
end
{%- endif %}

# Returns the reason, message and hint of a rejected postback.
def explain(text)
  answer = JSON.parse(text)
  "#{answer.fetch("reason")}: #{answer["message"]} #{answer["hint"]}"
rescue JSON::ParserError, KeyError, NoMethodError
  text
end

exit report_order({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }})
