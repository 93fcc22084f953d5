/*
 * Write a Varco gateway plugin in C: one header, no library, no generated code.
 *
 * A plugin is a function. Name it in one of the VARCO_ macros at the end, and build with `varco plugin build`:
 *
 *     #include "varco_plugin.h"
 *
 *     static varco_verdict judge(const varco_context *context, varco_bytes body) {
 *         if (body.length > 4096)
 *             return varco_refuse(VARCO_UNPROCESSABLE, "too-long", "Send at most 4096 bytes.");
 *         return varco_pass();
 *     }
 *     VARCO_REQUEST(judge)
 *
 * The types below are the canonical ABI's form of those in `varco-plugin.wit` (package varco:plugin@0.2.0), which says
 * what each means. Texts are UTF-8 with a length; they don't end with a zero byte.
 *
 * Every call runs in a fresh instance: memory from varco_allocate is never freed, and a static variable is as new as the
 * call. There is no C library; memcpy, memmove, memset and memcmp are here because the compiler may call them.
 *
 * Native tests: include the header without a WebAssembly compiler, define the functions that the gateway would offer
 * (those of the "asked of the gateway" part that your plugin calls), and call your function.
 */
#ifndef VARCO_PLUGIN_H
#define VARCO_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- types ---- */

typedef struct { const uint8_t *data; size_t length; } varco_bytes;
typedef varco_bytes varco_text;
typedef struct { bool is_some; varco_text value; } varco_optional_text;
typedef struct { const varco_text *items; size_t count; } varco_texts;

enum { VARCO_DIRECTION_REQUEST = 0, VARCO_DIRECTION_RESPONSE = 1 };

/* What the gateway knows about the exchange. */
typedef struct {
    uint8_t direction;
    varco_text interaction;
    varco_optional_text resource_type;
    varco_text route;
    varco_texts roles;
    varco_texts purposes;
    varco_text content_type;
    varco_optional_text traceparent;
} varco_context;

typedef enum {
    VARCO_BAD_REQUEST = 0,
    VARCO_FORBIDDEN = 1,
    VARCO_NOT_FOUND = 2,
    VARCO_CONFLICT = 3,
    VARCO_UNPROCESSABLE = 4
} varco_status_hint;

/* `code`: of the FHIR R4 issue-type value set. Neither text may hold personal data: both reach the client. */
typedef struct { uint8_t status_hint; varco_text code; varco_text diagnostics; } varco_refusal;

enum { VARCO_PASS = 0, VARCO_REPLACE = 1, VARCO_REFUSE = 2 };

typedef struct {
    uint8_t tag;
    union { varco_bytes body; varco_refusal refusal; } as;
} varco_verdict;

/* A value that an enrichment adds. `path`: `code.coding[]`, `effectiveDateTime`. `value`: JSON text. */
typedef struct { varco_text path; varco_bytes value; } varco_addition;

typedef struct {
    uint8_t is_refusal;
    union { struct { const varco_addition *items; size_t count; } additions; varco_refusal refusal; } as;
} varco_enrichment;

typedef enum { VARCO_DEBUG = 0, VARCO_INFO = 1, VARCO_WARN = 2, VARCO_ERROR = 3 } varco_level;

typedef enum {
    VARCO_NOT_A_CODE = 0,
    VARCO_WRONG_CHECK_LETTER = 1,
    VARCO_VALID = 2,
    VARCO_VALID_OMOCODIA = 3,
    VARCO_PROVISIONAL = 4
} varco_finding;

typedef struct { varco_optional_text system; varco_text code; varco_optional_text display; } varco_coding;
typedef struct { varco_text equivalence; bool has_coding; varco_coding coding; } varco_target;
/* `error`: 0 the gateway has no such map, 1 too many questions in one call. */
typedef struct {
    uint8_t is_error;
    union { struct { const varco_target *items; size_t count; } targets; uint8_t error; } as;
} varco_translation;

typedef enum {
    VARCO_ITEM_BOOLEAN = 0,
    VARCO_ITEM_INTEGER = 1,
    VARCO_ITEM_DECIMAL = 2,
    VARCO_ITEM_TEXT = 3,
    VARCO_ITEM_ELEMENT = 4,
    VARCO_ITEM_WITHOUT_VALUE = 5
} varco_item_kind;
typedef struct {
    varco_text type_name;
    uint8_t kind;
    union { bool boolean; int64_t integer; varco_text text; varco_bytes element; } as;
} varco_item;
/* `error.kind`: 0 no expression (with the cause), 1 the body is not FHIR, 2 it failed, 3 too costly. */
typedef struct {
    uint8_t is_error;
    union {
        struct { const varco_item *items; size_t count; } items;
        struct { uint8_t kind; varco_text cause; } error;
    } as;
} varco_answer;

/* ---- memory ---- */

#ifdef __wasm__

extern uint8_t __heap_base;
static size_t varco_next_;

/* Memory for the rest of the call. The gateway stops a call that asks for more than its limit. */
static void *varco_allocate(size_t size) {
    if (varco_next_ == 0) varco_next_ = (size_t)&__heap_base;
    size_t start = (varco_next_ + 15) & ~(size_t)15;
    if (size > (size_t)0x7fffffff || start > (size_t)0x7fffffff) __builtin_trap();
    size_t have = __builtin_wasm_memory_size(0) * 65536, need = start + size;
    if (need > have && __builtin_wasm_memory_grow(0, (need - have + 65535) / 65536) == (size_t)-1) __builtin_trap();
    varco_next_ = need;
    return (void *)start;
}

void *memcpy(void *to, const void *from, size_t size) {
    uint8_t *target = to;
    const uint8_t *source = from;
    while (size--) *target++ = *source++;
    return to;
}
void *memmove(void *to, const void *from, size_t size) {
    uint8_t *target = to;
    const uint8_t *source = from;
    if (target < source) while (size--) *target++ = *source++;
    else while (size--) target[size] = source[size];
    return to;
}
void *memset(void *to, int value, size_t size) {
    uint8_t *target = to;
    while (size--) *target++ = (uint8_t)value;
    return to;
}
int memcmp(const void *one, const void *other, size_t size) {
    const uint8_t *left = one, *right = other;
    for (; size--; left++, right++) if (*left != *right) return *left - *right;
    return 0;
}

/* The gateway writes arguments and answers into memory that this gives. */
__attribute__((export_name("cabi_realloc")))
void *varco_cabi_realloc_(void *old, size_t old_size, size_t align, size_t size) {
    (void)align;
    void *fresh = varco_allocate(size);
    if (old_size) memcpy(fresh, old, old_size < size ? old_size : size);
    return fresh;
}

#define VARCO_IMPORT_(interface, name) \
    __attribute__((import_module("varco:plugin/" interface "@0.2.0"), import_name(name)))
#define VARCO_EXPORT_(name) __attribute__((export_name(name)))

#else

#include <stdlib.h>
#include <string.h>

static inline void *varco_allocate(size_t size) {
    void *memory = malloc(size ? size : 1);
    if (!memory) abort();
    return memory;
}

#define VARCO_IMPORT_(interface, name)
#define VARCO_EXPORT_(name)

#endif

/* ---- asked of the gateway: each needs the grant of its name in the manifest ---- */

#ifdef __wasm__

VARCO_IMPORT_("log", "line") void varco_log_(uint32_t, const uint8_t *, size_t);
VARCO_IMPORT_("settings", "json") void varco_settings_(varco_text *);
VARCO_IMPORT_("counters", "add") void varco_count_(const uint8_t *, size_t, uint32_t);
VARCO_IMPORT_("fhirpath", "evaluate") void varco_fhirpath_(const uint8_t *, size_t, varco_answer *);
VARCO_IMPORT_("concept-map", "translate")
void varco_translate_(const uint8_t *, size_t, uint32_t, const uint8_t *, size_t, const uint8_t *, size_t, uint32_t,
                      const uint8_t *, size_t, varco_translation *);
VARCO_IMPORT_("codice-fiscale", "check") uint32_t varco_check_(const uint8_t *, size_t);
VARCO_IMPORT_("pseudonym", "pseudonym")
void varco_pseudonym_(const uint8_t *, size_t, const uint8_t *, size_t, varco_text *);

/* Grant `log`. A line must not hold personal data. */
static inline void varco_log(varco_level level, varco_text line) { varco_log_(level, line.data, line.length); }
/* Grant `settings`: JSON text. */
static inline varco_text varco_settings(void) {
    varco_text answer;
    varco_settings_(&answer);
    return answer;
}
/* Grant `counters`: a name that the manifest lists. */
static inline void varco_count(varco_text name, uint32_t by) { varco_count_(name.data, name.length, by); }
/* Grant `fhirpath`: on the body of this call. */
static inline varco_answer varco_fhirpath(varco_text expression) {
    varco_answer answer;
    varco_fhirpath_(expression.data, expression.length, &answer);
    return answer;
}
/* Grant `concept-map`: `map` is a canonical URL. */
static inline varco_translation varco_translate(varco_text map, varco_coding coding) {
    varco_translation answer;
    varco_translate_(map.data, map.length, coding.system.is_some, coding.system.value.data, coding.system.value.length,
                     coding.code.data, coding.code.length, coding.display.is_some, coding.display.value.data,
                     coding.display.value.length, &answer);
    return answer;
}
/* Grant `codice-fiscale`: capital letters, no spaces. */
static inline varco_finding varco_codice_fiscale(varco_text text) {
    return (varco_finding)varco_check_(text.data, text.length);
}
/* Grant `pseudonym`: 64 hexadecimal digits. */
static inline varco_text varco_pseudonym(varco_text system, varco_text value) {
    varco_text answer;
    varco_pseudonym_(system.data, system.length, value.data, value.length, &answer);
    return answer;
}

#else

void varco_log(varco_level level, varco_text line);
varco_text varco_settings(void);
void varco_count(varco_text name, uint32_t by);
varco_answer varco_fhirpath(varco_text expression);
varco_translation varco_translate(varco_text map, varco_coding coding);
varco_finding varco_codice_fiscale(varco_text text);
varco_text varco_pseudonym(varco_text system, varco_text value);

#endif

/* ---- verdicts ---- */

/* The text of a string literal or another string that ends with a zero byte. */
static inline varco_text varco_string(const char *string) {
    varco_text text = {(const uint8_t *)string, 0};
    while (string[text.length]) text.length++;
    return text;
}
static inline bool varco_equal(varco_text one, varco_text other) {
    return one.length == other.length && memcmp(one.data, other.data, one.length) == 0;
}
static inline varco_verdict varco_pass(void) {
    varco_verdict verdict = {.tag = VARCO_PASS};
    return verdict;
}
/* `body` must live on after the function: from varco_allocate, or static. */
static inline varco_verdict varco_replace(varco_bytes body) {
    varco_verdict verdict = {.tag = VARCO_REPLACE};
    verdict.as.body = body;
    return verdict;
}
static inline varco_refusal varco_refusal_of(varco_status_hint status, const char *code, const char *diagnostics) {
    varco_refusal refusal = {(uint8_t)status, varco_string(code), varco_string(diagnostics)};
    return refusal;
}
static inline varco_verdict varco_refuse(varco_status_hint status, const char *code, const char *diagnostics) {
    varco_verdict verdict = {.tag = VARCO_REFUSE};
    verdict.as.refusal = varco_refusal_of(status, code, diagnostics);
    return verdict;
}
static inline varco_enrichment varco_add(const varco_addition *items, size_t count) {
    varco_enrichment enrichment = {.is_refusal = 0};
    enrichment.as.additions.items = items;
    enrichment.as.additions.count = count;
    return enrichment;
}

/* ---- hooks: one of these at the end of the plugin; the manifest's `world` must be the one named ---- */

/* Context and body are 19 values: more than 16 come as one address. */
typedef struct { varco_context context; varco_bytes body; } varco_arguments_;

#ifdef __wasm__
_Static_assert(sizeof(varco_context) == 68 && sizeof(varco_arguments_) == 76, "the contract's layout");
_Static_assert(sizeof(varco_verdict) == 24 && sizeof(varco_enrichment) == 24, "the contract's layout");
_Static_assert(sizeof(varco_target) == 44 && sizeof(varco_translation) == 12, "the contract's layout");
_Static_assert(sizeof(varco_item) == 24 && sizeof(varco_answer) == 16, "the contract's layout");
#endif

#define VARCO_HOOK_(interface, name, own, type, function)                            \
    VARCO_EXPORT_("varco:plugin/" interface "@0.2.0#" name)                          \
    const type *own(const varco_arguments_ *arguments) {                             \
        type *answer = varco_allocate(sizeof *answer);                               \
        *answer = function(&arguments->context, arguments->body);                    \
        return answer;                                                               \
    }

/* world request-plugin: varco_verdict function(const varco_context *, varco_bytes) */
#define VARCO_REQUEST(function) \
    VARCO_HOOK_("request-hook", "on-request", varco_on_request_, varco_verdict, function)
/* world response-plugin; with VARCO_REQUEST, world gateway-plugin */
#define VARCO_RESPONSE(function) \
    VARCO_HOOK_("response-hook", "on-response", varco_on_response_, varco_verdict, function)
/* world transform-plugin */
#define VARCO_TRANSFORM(function) \
    VARCO_HOOK_("transform-hook", "transform", varco_transform_, varco_verdict, function)
/* world enrichment-plugin: varco_enrichment function(const varco_context *, varco_bytes) */
#define VARCO_ENRICH(function) \
    VARCO_HOOK_("enrichment-hook", "enrich", varco_enrich_, varco_enrichment, function)

#endif
