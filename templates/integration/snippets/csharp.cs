// Sends a postback for a paid order. Requires .NET 6 or newer, no packages. Run this on your server in a background
// job, because it waits between attempts. Retries are safe: each order ID counts once.
// Keep the token{% if signed %} and the secret{% endif %} out of your repository.
using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Net.Http.Headers;
{%- if signed %}
using System.Security.Cryptography;
using System.Text;
{%- endif %}
using System.Text.Json;
using System.Threading.Tasks;

public static class Orders
{
    static readonly Uri PostbackUrl = new Uri({{ postback_url }});
    const string Token = {{ token }};
{%- if signed %}
    const string Secret = {{ secret }};
{%- endif %}
    const string Goal = {{ goal }};

    static readonly HttpClient Client = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false })
    {
        Timeout = TimeSpan.FromSeconds(10),
    };

    /// <summary>Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
    /// The amount is a string such as "49.90", never a double.</summary>
    public static async Task<int> ReportOrder(string clickId, string orderId, string amount, string currency)
    {
        var fields = new Dictionary<string, string>
        {
            ["click_id"] = clickId,
            ["goal"] = Goal,
            ["order_id"] = orderId,
            ["amount"] = amount,
            ["currency"] = currency,
        };
        for (var attempt = 1; attempt <= 5; attempt++)
        {
            if (attempt > 1) await Task.Delay(TimeSpan.FromSeconds(1 << (attempt - 2)));
            int status;
            string text;
            try
            {
                (status, text) = await Send(fields);
            }
            catch (Exception error) when (error is HttpRequestException || error is TaskCanceledException)
            {
                Console.Error.WriteLine($"attempt {attempt}: no response: {error.Message}");
                continue;
            }
            if (status >= 200 && status < 300)
            {
                Console.WriteLine(text);
                return 0;
            }
            if (status != 408 && status != 429 && status < 500)
            {
                Console.Error.WriteLine($"{status} {Explain(text)}");
                return 1;
            }
            Console.Error.WriteLine($"attempt {attempt}: {status}");
        }
        return 2;
    }

    static async Task<(int, string)> Send(Dictionary<string, string> fields)
    {
        using (var request = new HttpRequestMessage(HttpMethod.Post, PostbackUrl))
        {
            request.Content = new FormUrlEncodedContent(fields);
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", Token);
{%- if signed %}
            request.Headers.Add("X-Clickledger-Signature", Sign(await request.Content.ReadAsStringAsync()));
{%- endif %}
            using (var response = await Client.SendAsync(request))
            {
                var text = await response.Content.ReadAsStringAsync();
                return ((int)response.StatusCode, text);
            }
        }
    }
{%- if signed %}

    /// <summary>Returns the value of the signature header: the timestamp and the HMAC of the request.</summary>
    static string Sign(string body)
    {
        var time = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        using (var sha = SHA256.Create())
        using (var mac = new HMACSHA256(Encoding.UTF8.GetBytes(Secret)))
        {
            var digest = Hex(sha.ComputeHash(Encoding.UTF8.GetBytes($"{PostbackUrl.PathAndQuery}\n{body}")));
            return $"t={time},v1={Hex(mac.ComputeHash(Encoding.UTF8.GetBytes($"{time}.{digest}")))}";
        }
    }

    static string Hex(byte[] bytes)
    {
        return BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
    }
{%- endif %}

    /// <summary>Returns the reason, message and hint of a rejected postback.</summary>
    static string Explain(string text)
    {
        try
        {
            using (var json = JsonDocument.Parse(text))
            {
                var answer = json.RootElement;
                return $"{answer.GetProperty("reason")}: {answer.GetProperty("message")} {answer.GetProperty("hint")}";
            }
        }
        catch (Exception error) when (error is JsonException || error is KeyNotFoundException || error is InvalidOperationException)
        {
            return text;
        }
    }

    public static async Task<int> Main()
    {
        return await ReportOrder({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }});
    }
}
