/* Refuses a Patient without an identifier: a first plugin to change into your own. */
#include "varco_plugin.h"

static bool contains(varco_bytes body, varco_text word) {
    for (size_t at = 0; at + word.length <= body.length; at++)
        if (memcmp(body.data + at, word.data, word.length) == 0) return true;
    return false;
}

/* Called with the body of each request before it is forwarded. */
static varco_verdict judge(const varco_context *context, varco_bytes body) {
    if (!context->resource_type.is_some || !varco_equal(context->resource_type.value, varco_string("Patient")))
        return varco_pass();
    if (contains(body, varco_string("\"identifier\""))) return varco_pass();
    varco_count(varco_string("without_identifier"), 1);
    return varco_refuse(VARCO_UNPROCESSABLE, "required", "Send the Patient with an identifier that has a value.");
}

VARCO_REQUEST(judge)
