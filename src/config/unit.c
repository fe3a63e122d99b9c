/* SPDX-License-Identifier: Apache-2.0 */
#include "config/unit.h"

#include <stddef.h>
#include <string.h>

#define DEPTH_MAX 8

/* Metric atoms take a prefix. */
static const char *const metric[] = {
    "m",   "s",  "g",  "rad",    "K",     "C",   "cd", "mol", "sr",  "Hz", "N",   "Pa",
    "J",   "W",  "A",  "V",      "F",     "Ohm", "S",  "Wb",  "Cel", "T",  "H",   "lm",
    "lx",  "Bq", "Gy", "Sv",     "l",     "L",   "ar", "t",   "bar", "u",  "eV",  "pc",
    "kat", "U",  "Np", "B",      "bit",   "By",  "Bd", "cal", "P",   "St", "Gal", "dyn",
    "erg", "G",  "Mx", "m[H2O]", "m[Hg]", "g%",  "st", "mho"};
static const char *const plain[] = {
    "%",       "[ppth]",     "[ppm]",    "[ppb]",  "min",      "h",       "d",
    "wk",      "mo",         "a",        "deg",    "'",        "''",      "[degF]",
    "[pi]",    "atm",        "att",      "[psi]",  "[in_i]",   "[ft_i]",  "[yd_i]",
    "[mi_i]",  "[lb_av]",    "[gal_us]", "[HP]",   "[Btu]",    "[pH]",    "[lbf_av]",
    "[oz_av]", "[in_i'H2O]", "[acr_us]", "[kn_i]", "[nmi_i]",  "[degR]",  "gon",
    "[cft_i]", "circ",       "[NTU]",    "[FNU]",  "[stb_us]", "[bbl_us]"};
static const char *const prefixes[] = {"da", "Y", "Z", "E", "P",  "T",  "G", "M",
                                       "k",  "h", "d", "c", "m",  "u",  "n", "p",
                                       "f",  "a", "z", "y", "Ki", "Mi", "Gi"};

static bool in(const char *const *table, size_t count, const char *text, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(table[i]) == size && !memcmp(table[i], text, size)) {
            return true;
        }
    }
    return false;
}

#define IN(table, text, size) in(table, sizeof(table) / sizeof *(table), text, size)

static bool is_atom(const char *text, size_t size)
{
    if (IN(metric, text, size) || IN(plain, text, size)) {
        return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        if (size > n && !memcmp(text, prefixes[i], n) && IN(metric, text + n, size - n)) {
            return true;
        }
    }
    return false;
}

static const char *term(const char *p, int depth);

/* Behind an annotation "{…}", or p itself. */
static const char *annotation(const char *p)
{
    if (*p != '{') {
        return p;
    }
    const char *close = strchr(p, '}');
    return close ? close + 1 : NULL;
}

static const char *exponent(const char *p)
{
    if ((*p == '+' || *p == '-') && p[1] >= '0' && p[1] <= '9') {
        p++;
    }
    return p + strspn(p, "0123456789");
}

static const char *component(const char *p, int depth)
{
    if (*p == '(') {
        p = depth < DEPTH_MAX ? term(p + 1, depth + 1) : NULL;
        return p && *p == ')' ? exponent(p + 1) : NULL;
    }
    if (*p == '{') {
        return annotation(p);
    }
    if (!strncmp(p, "10*", 3) || !strncmp(p, "10^", 3)) {
        return exponent(p + 3);
    }
    size_t digits = strspn(p, "0123456789");
    if (digits) {
        return p + digits;
    }
    size_t n = 0;
    for (bool bracket = false; p[n] && (bracket || !strchr(".*/(){}+-0123456789", p[n])); n++) {
        bracket = p[n] == '[' || (bracket && p[n] != ']');
    }
    if (!n || !is_atom(p, n)) {
        return NULL;
    }
    return annotation(exponent(p + n));
}

static const char *term(const char *p, int depth)
{
    if (*p == '/') {
        p++;
    }
    p = component(p, depth);
    while (p && (*p == '.' || *p == '/')) {
        p = component(p + 1, depth);
    }
    return p;
}

bool unit_is_valid(const char *code)
{
    for (const char *p = code; *p; p++) {
        if (*p < 33 || *p > 126) {
            return false; /* in annotations too: a line end would break the id registry */
        }
    }
    const char *end = *code && strlen(code) < 128 ? term(code, 0) : NULL;
    return end && !*end;
}

const char *unit_proposal(const char *code)
{
    static const struct {
        const char *wrong, *hint;
    } table[] = {
        {"°C", "write Cel"},        {"C", "write Cel for degrees Celsius"},
        {"degC", "write Cel"},      {"°F", "write [degF]"},
        {"m³", "write m3"},         {"m³/h", "write m3/h"},
        {"m^3/h", "write m3/h"},    {"rpm", "write /min"},
        {"kWh", "write kW.h"},      {"psi", "write [psi]"},
        {"hp", "write [HP]"},       {"ohm", "write Ohm"},
        {"sec", "write s"},         {"hr", "write h"},
        {"ppm", "write [ppm]"},     {"pH", "write [pH]"},
        {"kvar", "write kV.A{r}"},  {"kVA", "write kV.A"},
        {"in", "write [in_i]"},     {"ft", "write [ft_i]"},
        {"percent", "write %"},     {"pcs", "write {pieces}"},
        {"count", "write {count}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!strcmp(code, table[i].wrong)) {
            return table[i].hint;
        }
    }
    return "use UCUM codes, for example m3/h, Cel, bar, kW.h, %, mm/s2; free text in braces: "
           "{pieces}";
}
