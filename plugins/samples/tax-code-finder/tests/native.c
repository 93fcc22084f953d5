/* The plugin without a gateway: cc -Wall -Wextra -Werror -I../../sdk-c tests/native.c -o native && ./native */
#include <stdio.h>

#include "../src/plugin.c"

static uint32_t counted;
static int failures;

void varco_count(varco_text name, uint32_t by) {
    (void)name;
    counted += by;
}

/* The form alone: six letters, then ten of which the last is a letter. The gateway's check is exact. */
varco_finding varco_codice_fiscale(varco_text text) {
    for (size_t i = 0; i < text.length; i++) {
        bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (is_digit && (i < 6 || i == 15)) return VARCO_NOT_A_CODE;
    }
    return text.length == 16 && text.data[6] == '7' ? VARCO_VALID : VARCO_NOT_A_CODE;
}

static void expect(const char *body, const char *wanted) {
    varco_context context = {0};
    varco_verdict verdict = mask_tax_codes(&context, varco_string(body));
    varco_text left = verdict.tag == VARCO_REPLACE ? verdict.as.body : varco_string(body);
    if (varco_equal(left, varco_string(wanted))) return;
    printf("FAILED: %s\n  left:   %.*s\n  wanted: %s\n", body, (int)left.length, (const char *)left.data, wanted);
    failures++;
}

static void stays(const char *body) { expect(body, body); }

int main(void) {
    expect("{\"note\":[{\"text\":\"CF RSSMRA70A41F205Z, seen\"}]}", "{\"note\":[{\"text\":\"CF XXXXXXXXXXXXXXXX, seen\"}]}");
    expect("{\"div\":\"<p>rss mra 70a41 f205z</p>\"}", "{\"div\":\"<p>XXX XXX XXXXX XXXXX</p>\"}");
    expect("{\"comment\":\"RSSMRA70A41F205Z e BNCLGU75B12H501X\"}", "{\"comment\":\"XXXXXXXXXXXXXXXX e XXXXXXXXXXXXXXXX\"}");
    expect("{\"display\":\"\\u0052SSMRA70A41F205Z\"}", "{\"display\":\"\\u0058XXXXXXXXXXXXXXX\"}");
    expect("{\"note\":\"codice RSSMRA70A41F205Z\"}", "{\"note\":\"codice XXXXXXXXXXXXXXXX\"}");
    stays("{\"identifier\":[{\"system\":\"urn:cf\",\"value\":\"RSSMRA70A41F205Z\"}]}");
    stays("{\"note\":\"ARSSMRA70A41F205Z RSSMRA70A41F205ZA RSSMRA70A41F205\"}");
    stays("{\"note\":\"RSSMRA  70A41F205Z\"}");
    stays("{\"note\":\"RSSMRA70A41F205Z");
    stays("{\"note\":\"\\");
    stays("{\"note\":\"\\u00");
    stays("");
    if (counted != 6) {
        printf("FAILED: %u codes counted, 6 wanted\n", counted);
        failures++;
    }
    printf("tax-code-finder: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
