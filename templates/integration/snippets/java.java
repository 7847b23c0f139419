// Sends a postback for a paid order. Requires Java 11 or newer, no libraries. Run this on your server in a
// background job, because it waits between attempts. Retries are safe: each order ID counts once.
// Keep the token{% if signed %} and the secret{% endif %} out of your repository.
import java.io.IOException;
{%- if signed %}
import java.math.BigInteger;
{%- endif %}
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
{%- if signed %}
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
{%- endif %}
import java.time.Duration;
{%- if signed %}
import java.time.Instant;
{%- endif %}
import java.util.regex.Matcher;
import java.util.regex.Pattern;
{%- if signed %}
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
{%- endif %}

public class ReportOrder {
    static final URI POSTBACK_URL = URI.create({{ postback_url }});
    static final String TOKEN = {{ token }};
{%- if signed %}
    static final String SECRET = {{ secret }};
{%- endif %}
    static final String GOAL = {{ goal }};

    // Does not follow redirects by default.
    static final HttpClient CLIENT = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();

    /**
     * Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
     * The amount is a string such as "49.90", never a double.
     */
    static int reportOrder(String clickId, String orderId, String amount, String currency) throws Exception {
        String body = "click_id=" + encode(clickId)
            + "&goal=" + encode(GOAL)
            + "&order_id=" + encode(orderId)
            + "&amount=" + encode(amount)
            + "&currency=" + encode(currency);
        for (int attempt = 1; attempt <= 5; attempt++) {
            if (attempt > 1) {
                Thread.sleep(1000L << (attempt - 2));
            }
            HttpResponse<String> answer;
            try {
                answer = send(body);
            } catch (IOException error) {
                System.err.println("attempt " + attempt + ": no response: " + error);
                continue;
            }
            int status = answer.statusCode();
            if (status >= 200 && status < 300) {
                System.out.println(answer.body());
                return 0;
            }
            if (status != 408 && status != 429 && status < 500) {
                System.err.println(status + " " + explain(answer.body()));
                return 1;
            }
            System.err.println("attempt " + attempt + ": " + status);
        }
        return 2;
    }

    static HttpResponse<String> send(String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(POSTBACK_URL)
            .timeout(Duration.ofSeconds(10))
            .header("Authorization", "Bearer " + TOKEN)
            .header("Content-Type", "application/x-www-form-urlencoded")
{%- if signed %}
            .header("X-Clickledger-Signature", sign(body))
{%- endif %}
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        return CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
    }

    static String encode(String value) {
        return URLEncoder.encode(value, StandardCharsets.UTF_8);
    }
{%- if signed %}

    /** Returns the value of the signature header: the timestamp and the HMAC of the request. */
    static String sign(String body) throws GeneralSecurityException {
        long time = Instant.now().getEpochSecond();
        String query = POSTBACK_URL.getRawQuery();
        String target = POSTBACK_URL.getRawPath() + (query == null ? "" : "?" + query);
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes(target + "\n" + body));
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(bytes(SECRET), "HmacSHA256"));
        return "t=" + time + ",v1=" + hex(mac.doFinal(bytes(time + "." + hex(digest))));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String hex(byte[] bytes) {
        return String.format("%064x", new BigInteger(1, bytes));
    }
{%- endif %}

    /** Returns the reason, message and hint of a rejected postback. */
    static String explain(String text) {
        String reason = field(text, "reason");
        return reason.isEmpty() ? text : reason + ": " + field(text, "message") + " " + field(text, "hint");
    }

    // Sufficient for the flat JSON response; use a JSON library if you have one.
    static String field(String json, String name) {
        Matcher found = Pattern.compile("\"" + name + "\":\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(json);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] arguments) throws Exception {
        System.exit(reportOrder({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}));
    }
}
