/*
 * Masks Italian tax codes (codici fiscali) that somebody wrote into free text: narratives, notes, comments, displays.
 *
 * It is a transform: it sees each resource that may leave. It walks the bytes once. In every string of the JSON but the
 * values of identifiers and what is no prose (see `is_prose`), sixteen letters and digits in a row that the gateway
 * knows for a tax code become sixteen `X`. Single spaces, dots and hyphens between them don't hide a code; nor do JSON
 * escapes. What is masked keeps its length in characters, so that nothing else in the text moves.
 *
 * A code with a wrong check letter is masked too: a typing error doesn't make it less of a person's.
 */
#include "varco_plugin.h"

enum { CODE = 16 };

typedef struct {
    varco_bytes body;
    uint8_t *copy; /* made when the first code is found */
    uint32_t masked;
} search;

static bool is_letter(uint8_t byte) {
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
}

static uint8_t capital(uint8_t byte) { return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 32) : byte; }

/* Whether a person's prose may stand in a member of this name. */
static bool is_prose(varco_text name) {
    static const char *const others[] = {"value", "id",  "reference", "system", "url",     "uri",  "code",
                                         "data",  "fullUrl", "profile", "contentType", "resourceType", "version"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (varco_equal(name, varco_string(others[i]))) return false;
    return true;
}

static uint8_t hexadecimal(uint8_t digit) {
    if (digit >= '0' && digit <= '9') return (uint8_t)(digit - '0');
    digit = capital(digit);
    return digit >= 'A' && digit <= 'F' ? (uint8_t)(digit - 'A' + 10) : 255;
}

/* What the escape at `at` says, if that is one byte; 0 otherwise. Sets where it ends. */
static uint8_t unescaped(varco_bytes body, size_t at, size_t *end) {
    uint8_t kind = at + 1 < body.length ? body.data[at + 1] : 0;
    if (kind != 'u' || at + 6 > body.length) {
        *end = at + 2 < body.length ? at + 2 : body.length;
        return 0;
    }
    uint32_t value = 0;
    for (size_t i = at + 2; i < at + 6; i++) {
        uint8_t digit = hexadecimal(body.data[i]);
        if (digit == 255) {
            *end = at + 2;
            return 0;
        }
        value = value * 16 + digit;
    }
    *end = at + 6;
    return value < 128 ? (uint8_t)value : 0;
}

/* One character of a string: what it says if that is one byte, 0 otherwise, and where the next one starts. */
static uint8_t character(varco_bytes body, size_t at, size_t *next) {
    *next = at + 1;
    return body.data[at] == '\\' ? unescaped(body, at, next) : body.data[at];
}

/* Masks the code that starts at `start`, if there is one. Gives where to go on. */
static size_t mask_code(search *find, size_t start, size_t to) {
    uint8_t letters[CODE];
    size_t from[CODE], after[CODE], seen = 0, at = start, next = start;
    bool separated = false;
    while (at < to && seen < CODE) {
        uint8_t letter = character(find->body, at, &next);
        if (is_letter(letter)) {
            letters[seen] = capital(letter);
            from[seen] = at;
            after[seen] = next;
            seen++;
            separated = false;
        } else if ((letter == ' ' || letter == '.' || letter == '-') && !separated) {
            separated = true;
        } else {
            return start;
        }
        at = next;
    }
    if (seen < CODE || (at < to && is_letter(character(find->body, at, &next)))) return start;
    varco_text text = {letters, CODE};
    varco_finding finding = varco_codice_fiscale(text);
    if (finding == VARCO_NOT_A_CODE || finding == VARCO_PROVISIONAL) return start;
    if (!find->copy) {
        find->copy = varco_allocate(find->body.length);
        memcpy(find->copy, find->body.data, find->body.length);
    }
    for (size_t i = 0; i < CODE; i++) {
        /* An escape keeps its length: \u0058 is an X. */
        if (after[i] - from[i] == 6) memcpy(find->copy + from[i], "\\u0058", 6);
        else find->copy[from[i]] = 'X';
    }
    find->masked++;
    return at;
}

static void search_string(search *find, size_t from, size_t to) {
    bool inside = false;
    while (from < to) {
        size_t next;
        bool letter = is_letter(character(find->body, from, &next));
        if (letter && !inside) {
            size_t after = mask_code(find, from, to);
            if (after > from) next = after;
        }
        inside = letter;
        from = next;
    }
}

static varco_verdict mask_tax_codes(const varco_context *context, varco_bytes body) {
    (void)context;
    search find = {body, 0, 0};
    varco_text name = {0, 0};
    size_t at = 0;
    while (at < body.length) {
        if (body.data[at] != '"') {
            at++;
            continue;
        }
        size_t from = at + 1, to = from;
        while (to < body.length && body.data[to] != '"') to += body.data[to] == '\\' ? 2 : 1;
        if (to >= body.length) break; /* a string without an end: not JSON */
        size_t after = to + 1;
        while (after < body.length && (body.data[after] == ' ' || body.data[after] == '\n' || body.data[after] == '\t' ||
                                       body.data[after] == '\r'))
            after++;
        if (after < body.length && body.data[after] == ':') {
            name.data = body.data + from;
            name.length = to - from;
        } else if (is_prose(name)) {
            search_string(&find, from, to);
        }
        at = to + 1;
    }
    if (!find.masked) return varco_pass();
    varco_count(varco_string("masked"), find.masked);
    varco_bytes masked = {find.copy, body.length};
    return varco_replace(masked);
}

VARCO_TRANSFORM(mask_tax_codes)
