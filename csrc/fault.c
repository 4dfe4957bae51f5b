/* What went wrong with an exchange: what our callbacks noted, what a proxy said, and libcurl's
 * codes, in our terms. */
#include "fault.h"

#include "failure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The longest header line libcurl takes, bytes. Of a longer one it says that it is out of memory;
 * from 8.6.0 on by this code, which older headers do not have. */
#define LONGEST_HEADER 102400
#define TOO_LARGE      ((CURLcode)100)

#define LARGE_HEAD "the headers of the reply are too large"
#define NO_HTTP    "the answer is not HTTP as it should be"
#define CLOSED     "the connection was closed before an answer came"
#define UNTRUSTED  "the server's certificate is not accepted; "
#define PACKAGE    "install ca-certificates, or name the authorities to trust by ca_file"

/* --- memory and descriptors --- */

/* Whether libcurl had memory for a header line, which was too long then. */
static bool had_memory(void) {
    void *block = malloc(LONGEST_HEADER);
    free(block);
    return block != NULL;
}

static bool has_long_header(const cat_easy *easy) {
    CURLcode code = easy->op.result;
    bool in_head = easy->sends > 0 && easy->sink.length == 0;
    return code == TOO_LARGE || (code == CURLE_OUT_OF_MEMORY && in_head && had_memory());
}

bool cat_fault_of_memory(const cat_easy *easy) {
    return easy->sink.oom || (easy->op.result == CURLE_OUT_OF_MEMORY && !has_long_header(easy));
}

/* Whether there is no descriptor left now. What libcurl opens by itself, for a look-up or for a
 * file of certificates, fails without a reason. */
static bool none_left(void) {
    int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return cat_no_descriptors(errno);
    }
    close(probe);
    return false;
}

static bool is_short_of_descriptors(const cat_easy *easy) {
    switch (easy->op.result) {
    case CURLE_COULDNT_CONNECT:
        return cat_no_descriptors(easy->op.socket_error);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SSL_CACERT_BADFILE:
        return none_left();
    default:
        return false;
    }
}

/* --- what was noted on this side --- */

static cat_fault of_data(const char *what) {
    return (cat_fault){.kind = "data", .what = what, .whole = true};
}

/* Its kind is NULL when nothing was. */
static cat_fault noted(const cat_easy *easy) {
    if (easy->sends > 1 && !easy->resendable) {
        return (cat_fault){.kind = "network", .what = CLOSED, .passes = true, .whole = true};
    }
    if (easy->source.ended) {
        return of_data("the file became shorter while it was sent");
    }
    if (easy->source.error || easy->sink.error) {
        return of_data(strerror(easy->source.error ? easy->source.error : easy->sink.error));
    }
    if (easy->sink.bad_first_header) {
        return (cat_fault){.kind = "protocol",
                           .what = NO_HTTP ": its first header begins with a blank",
                           .passes = true,
                           .whole = true};
    }
    if (easy->sink.head_too_large || has_long_header(easy)) {
        return (cat_fault){.kind = "protocol", .what = LARGE_HEAD, .whole = true};
    }
    if (easy->sink.too_large) {
        return (cat_fault){
            .kind = "limit", .what = "the reply is larger than max_reply allows", .whole = true};
    }
    if (is_short_of_descriptors(easy)) {
        return (cat_fault){
            .kind = "limit", .what = CAT_NO_DESCRIPTORS, .passes = true, .whole = true};
    }
    return (cat_fault){0};
}

/* --- the TLS handshake --- */

/* Whether the handshake failed, and libcurl says why by one of the words, up to NULL. It has one
 * code for what passes and for what will not; its words differ, with GnuTLS and each OpenSSL. */
static bool failed_with(const cat_easy *easy, const char *const *words) {
    if (easy->op.result != CURLE_SSL_CONNECT_ERROR) {
        return false;
    }
    while (*words && !strstr(easy->detail, *words)) {
        words++;
    }
    return *words != NULL;
}

static bool closed_in_handshake(const cat_easy *easy) {
    static const char *const words[] = {"SSL_ERROR_SYSCALL",
                                        "reset by peer",
                                        "unexpected eof",
                                        "Send failure",
                                        "Recv failure",
                                        "Broken pipe",
                                        "non-properly terminated",
                                        "pull function",
                                        "push function",
                                        NULL};
    return failed_with(easy, words);
}

/* What came was no TLS, such as the answer of a server of plain http, which takes our first bytes
 * for a bad request. */
static bool speaks_no_tls(const cat_easy *easy) {
    static const char *const words[] = {"wrong version number", "packet length too long",
                                        "unexpected TLS packet", NULL};
    return failed_with(easy, words);
}

/* --- the proxy --- */

static const cat_fault not_known = {
    .kind = "auth",
    .what = "the proxy wants a user and a password that it knows; put them into proxy, as "
            "http://USER:PASSWORD@HOST:PORT",
    .of_proxy = true};

static const cat_fault not_allowed = {
    .kind = "auth",
    .what = "the proxy does not allow connections to the server; ask who runs it",
    .of_proxy = true};

static const cat_fault not_reached = {.kind = "network",
                                      .what = "the proxy does not reach the server",
                                      .passes = true,
                                      .of_proxy = true};

static const cat_fault no_such_proxy = {
    .kind = "config",
    .what = "the proxy is not one that connects to https servers; check proxy, its scheme and port",
    .of_proxy = true};

/* What the status means that an HTTP proxy answered CONNECT with. */
static cat_fault tunnel_refused(long status) {
    if (status == 407) {
        return not_known;
    }
    if (status == 401 || status == 403) {
        return not_allowed;
    }
    bool passes = status >= 500 || status == 408 || status == 425 || status == 429;
    return passes ? not_reached : no_such_proxy;
}

/* The same for a SOCKS proxy. */
static cat_fault socks_refused(CURL *easy) {
    long why = CURLPX_OK;
    curl_easy_getinfo(easy, CURLINFO_PROXY_ERROR, &why);
    switch (why) {
    case CURLPX_NO_AUTH:
    case CURLPX_USER_REJECTED:
    case CURLPX_IDENTD:
    case CURLPX_IDENTD_DIFFER:
        return not_known;
    case CURLPX_REPLY_NOT_ALLOWED:
        return not_allowed;
    case CURLPX_BAD_VERSION:
    case CURLPX_UNKNOWN_MODE:
    case CURLPX_LONG_USER:
    case CURLPX_LONG_PASSWD:
    case CURLPX_REPLY_COMMAND_NOT_SUPPORTED:
        return no_such_proxy;
    default:
        return not_reached;
    }
}

/* Its kind is NULL when the proxy is not to blame. */
static cat_fault of_proxy(const cat_easy *easy) {
    long status = 0;
    CURLcode code = easy->op.result;
    if (code == CURLE_PROXY) {
        return socks_refused(easy->op.easy);
    }
    if (code == CURLE_COULDNT_RESOLVE_PROXY) {
        return (cat_fault){.kind = "network",
                           .what = "the proxy's name is not known; check proxy and the network",
                           .passes = true,
                           .of_proxy = true};
    }
    curl_easy_getinfo(easy->op.easy, CURLINFO_HTTP_CONNECTCODE, &status);
    if (status != 0 && status / 100 != 2) {
        return tunnel_refused(status);
    }
    if (status == 0 && strncmp(easy->proxy->shown, "https:", 6) == 0 && speaks_no_tls(easy)) {
        return (cat_fault){.kind = "tls",
                           .what = "the proxy does not speak TLS; is it http://?",
                           .of_proxy = true};
    }
    if (code == CURLE_COULDNT_CONNECT) {
        return (cat_fault){.kind = "network",
                           .what = "cannot connect to the proxy; check proxy, and whether it runs",
                           .passes = true,
                           .of_proxy = true};
    }
    return (cat_fault){0};
}

/* --- trust --- */

/* Whether nobody who is trusted has signed the certificate. Source: OpenSSL's verify(1): 2, 19, 20
 * and 21 are about issuers that are not there. */
static bool has_unknown_issuer(const cat_easy *easy) {
    long result = 0;
    curl_easy_getinfo(easy->op.easy, CURLINFO_SSL_VERIFYRESULT, &result);
    return easy->op.result == CURLE_PEER_FAILED_VERIFICATION &&
           (result == 2 || (result >= 19 && result <= 21));
}

/* Its kind is NULL when it is none of these. */
static cat_fault of_trust(const cat_client *client, const cat_easy *easy) {
    if (closed_in_handshake(easy)) {
        return (cat_fault){
            .kind = "network",
            .what =
                "the connection was closed during the TLS handshake; does the server speak TLS?",
            .passes = true};
    }
    if (speaks_no_tls(easy)) {
        return (cat_fault){.kind = "tls", .what = "the server does not speak TLS; is it http://?"};
    }
    if (easy->op.result == CURLE_SSL_CACERT_BADFILE) {
        return (cat_fault){.kind = "tls",
                           .what = client->has_authorities
                                       ? "ca_file has no certificates that can be used"
                                       : "the system has no authorities to trust; " PACKAGE};
    }
    if (!client->has_authorities && has_unknown_issuer(easy)) {
        return (cat_fault){.kind = "tls",
                           .what = UNTRUSTED "no authority known here has signed it: " PACKAGE};
    }
    return (cat_fault){0};
}

/* --- what remains --- */

#define NO_SECURITY                                                                                \
    { .kind = "tls", .what = "no secure connection" }
#define NOT_TRUSTED                                                                                \
    { .kind = "tls", .what = UNTRUSTED "ca_file names the authorities to trust" }
#define NOT_HTTP                                                                                   \
    { .kind = "protocol", .what = NO_HTTP, .passes = true }

/* libcurl's words follow. */
static const struct {
    CURLcode code;
    cat_fault fault;
} faults[] = {
    {CURLE_OPERATION_TIMEDOUT,
     {.kind = "timeout", .what = "no connection in time", .passes = true}},
    {CURLE_COULDNT_RESOLVE_HOST,
     {.kind = "network",
      .what = "the host's name is not known; check the URL and the network",
      .passes = true}},
    {CURLE_COULDNT_CONNECT,
     {.kind = "network",
      .what = "cannot connect; check the URL, and whether the server runs",
      .passes = true}},
    {CURLE_PEER_FAILED_VERIFICATION, NOT_TRUSTED},
    {CURLE_SSL_ISSUER_ERROR, NOT_TRUSTED},
    {CURLE_SSL_CONNECT_ERROR, NO_SECURITY},
    {CURLE_SSL_CERTPROBLEM, NO_SECURITY},
    {CURLE_SSL_CIPHER, NO_SECURITY},
    {CURLE_SSL_ENGINE_INITFAILED, NO_SECURITY},
    {CURLE_SSL_INVALIDCERTSTATUS, NO_SECURITY},
    {CURLE_USE_SSL_FAILED, NO_SECURITY},
    {CURLE_PARTIAL_FILE, {.kind = "protocol", .what = "the reply was cut short", .passes = true}},
    {CURLE_GOT_NOTHING, {.kind = "network", .what = CLOSED, .passes = true}},
    {CURLE_WEIRD_SERVER_REPLY, NOT_HTTP},
    {CURLE_UNSUPPORTED_PROTOCOL, NOT_HTTP},
    {CURLE_BAD_CONTENT_ENCODING, NOT_HTTP},
    {CURLE_HTTP2, NOT_HTTP},
    {CURLE_BAD_FUNCTION_ARGUMENT, NOT_HTTP}, /* a header that libcurl cannot keep */
    {CURLE_ABORTED_BY_CALLBACK,
     {.kind = "cancelled", .what = "the transfer was ended on this side"}},
    {CURLE_URL_MALFORMAT, {.kind = "config", .what = "the URL cannot be used"}},
};

/* What libcurl's code says by itself. */
static cat_fault of_code(CURLcode code) {
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (faults[i].code == code) {
            return faults[i].fault;
        }
    }
    return (cat_fault){.kind = "network", .what = "the connection broke", .passes = true};
}

cat_fault cat_fault_of(const cat_client *client, const cat_easy *easy) {
    cat_fault fault = noted(easy);
    bool ended_here = easy->op.timed_out || easy->op.result == CURLE_ABORTED_BY_CALLBACK;
    if (!fault.kind && easy->proxy && !ended_here) {
        fault = of_proxy(easy);
    }
    if (!fault.kind) {
        fault = of_trust(client, easy);
    }
    return fault.kind ? fault : of_code(easy->op.result);
}
