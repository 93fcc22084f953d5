/* The plugin without a gateway: cc -Wall -Isdk tests/native.c -o native && ./native */
#include <stdio.h>

#include "../src/plugin.c"

static uint32_t counted;

void varco_count(varco_text name, uint32_t by) {
    (void)name;
    counted += by;
}

int main(void) {
    varco_context context = {.resource_type = {true, varco_string("Patient")}};
    bool ok = judge(&context, varco_string("{\"resourceType\":\"Patient\",\"identifier\":[{\"value\":\"1\"}]}")).tag == VARCO_PASS;
    ok = ok && judge(&context, varco_string("{\"resourceType\":\"Patient\"}")).tag == VARCO_REFUSE && counted == 1;
    puts(ok ? "ok" : "FAILED");
    return !ok;
}
