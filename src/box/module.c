/* SPDX-License-Identifier: Apache-2.0 */
/* Where NAME.so may lie, first found wins: the folder in $ISTHMUS_MODULES; beside the executable, as in a build tree; the
 * library folder of the installation. */
#include "box/box.h"
#include "box/service.h"

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4096

static bool name_is_plain(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name);
}

static void executable_dir(char *dir, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", dir, size - 1);
    dir[n > 0 ? n : 0] = 0;
    char *slash = strrchr(dir, '/');
    if (slash) {
        *slash = 0;
    }
}

static bool find(const char *name, const char *side, char *path, size_t size)
{
    char dir[PATH_SIZE / 2];
    const char *own = getenv("ISTHMUS_MODULES");
    if (own && snprintf(path, size, "%s/%s.so", own, name) < (int)size && !access(path, R_OK)) {
        return true;
    }
    executable_dir(dir, sizeof dir);
    snprintf(path, size, "%s/src/%s/%s/%s.so", dir, side, name, name);
    if (!access(path, R_OK)) {
        return true;
    }
    snprintf(path, size, "%s/%s.so", ISTHMUS_MODULE_DIR, name);
    return !access(path, R_OK);
}

static size_t add_names(const char *pattern, char (*names)[MODULE_NAME_SIZE], size_t count,
                        size_t capacity)
{
    glob_t found;
    if (glob(pattern, 0, NULL, &found)) {
        return count;
    }
    for (size_t i = 0; i < found.gl_pathc && count < capacity; i++) {
        const char *file = strrchr(found.gl_pathv[i], '/') + 1;
        size_t length = strlen(file) - strlen(".so"), k = 0;
        if (length >= MODULE_NAME_SIZE) {
            continue;
        }
        snprintf(names[count], MODULE_NAME_SIZE, "%.*s", (int)length, file);
        while (strcmp(names[k], names[count]) != 0) {
            k++;
        }
        count += k == count && name_is_plain(names[count]);
    }
    globfree(&found);
    return count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

size_t module_names(const char *side, char (*names)[MODULE_NAME_SIZE], size_t capacity)
{
    char dir[PATH_SIZE / 2], pattern[PATH_SIZE];
    const char *own = getenv("ISTHMUS_MODULES");
    size_t count = 0;
    if (own && snprintf(pattern, sizeof pattern, "%s/*.so", own) < (int)sizeof pattern) {
        count = add_names(pattern, names, count, capacity);
    }
    executable_dir(dir, sizeof dir);
    snprintf(pattern, sizeof pattern, "%s/src/%s/*/*.so", dir, side);
    count = add_names(pattern, names, count, capacity);
    count = add_names(ISTHMUS_MODULE_DIR "/*.so", names, count, capacity);
    qsort(names, count, sizeof *names, by_name);
    return count;
}

void *module_symbol(const char *name, const char *side, const char *symbol, char *why,
                    size_t why_size)
{
    char path[PATH_SIZE];
    if (!name_is_plain(name)) {
        snprintf(why, why_size, "'%s' is no module's name (lower-case letters, digits, - and _)",
                 name);
        return NULL;
    }
    if (!find(name, side, path, sizeof path)) {
        snprintf(why, why_size,
                 "no module '%s': looked in $ISTHMUS_MODULES, beside the program and in %s", name,
                 ISTHMUS_MODULE_DIR);
        return NULL;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *found = handle ? dlsym(handle, symbol) : NULL;
    if (!found) {
        const char *text = dlerror();
        snprintf(why, why_size, "can't load module '%s': %s", name, text ? text : symbol);
    }
    return found;
}

const struct isthmus_driver *module_driver(const char *name, char *why, size_t why_size)
{
    const struct isthmus_driver *(*get)(void) = NULL;
    *(void **)&get = module_symbol(name, "south", "isthmus_driver", why, why_size);
    const struct isthmus_driver *driver = get ? get() : NULL;
    if (driver && driver->abi != ISTHMUS_DRIVER_ABI) {
        snprintf(why, why_size, "driver '%s' speaks version %u of the driver ABI, this program %u",
                 name, driver->abi, ISTHMUS_DRIVER_ABI);
        return NULL;
    }
    return driver;
}

const struct service *module_service(const char *name, char *why, size_t why_size)
{
    const struct service *(*get)(void) = NULL;
    *(void **)&get = module_symbol(name, "north", "isthmus_service", why, why_size);
    return get ? get() : NULL;
}
