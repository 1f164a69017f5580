/* Memory, and flat lists of items from and to Python. */

#include <stdlib.h>
#include <string.h>

#include "vshdr.h"

void *vshdr_allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        abort();
    return memory;
}

struct vshdr_settings *vshdr_settings_new(const VSAPI *vsapi)
{
    struct vshdr_settings *settings = vshdr_allocate(sizeof *settings);
    settings->vsapi = vsapi;
    for (int group = 0; group < VSHDR_GROUPS; group++)
        settings->groups[group] = vsapi->createMap();
    return settings;
}

void vshdr_settings_free(struct vshdr_settings *settings)
{
    for (int group = 0; group < VSHDR_GROUPS; group++)
        settings->vsapi->freeMap(settings->groups[group]);
    free(settings);
}

void vshdr_put(void *data, const struct vshdr_item *item)
{
    struct vshdr_settings *settings = data;
    VSMap *map = settings->groups[item->group];
    switch (item->kind) {
    case VSHDR_INT:
        settings->vsapi->mapSetInt(map, item->key, item->integer, maAppend);
        break;
    case VSHDR_FLOAT:
        settings->vsapi->mapSetFloat(map, item->key, item->real, maAppend);
        break;
    case VSHDR_TEXT:
        settings->vsapi->mapSetData(map, item->key, item->text, -1, dtUtf8, maAppend);
        break;
    }
}

static void add(struct vshdr_items *items, struct vshdr_item item)
{
    if (items->count == items->capacity) {
        items->capacity = items->capacity ? 2 * items->capacity : 32;
        items->items = realloc(items->items, (size_t)items->capacity * sizeof *items->items);
        if (!items->items)
            abort();
    }
    items->items[items->count++] = item;
}

void vshdr_add_int(struct vshdr_items *items, int group, const char *key, int64_t value)
{
    add(items, (struct vshdr_item){.group = group, .kind = VSHDR_INT, .integer = value, .key = key});
}

void vshdr_add_map(struct vshdr_items *items, int group, const VSMap *map, const VSAPI *vsapi)
{
    for (int k = 0; k < vsapi->mapNumKeys(map); k++) {
        const char *key = vsapi->mapGetKey(map, k);
        int type = vsapi->mapGetType(map, key);
        for (int i = 0; i < vsapi->mapNumElements(map, key); i++) {
            struct vshdr_item item = {.group = group, .key = key};
            if (type == ptInt) {
                item.kind = VSHDR_INT;
                item.integer = vsapi->mapGetInt(map, key, i, NULL);
            } else if (type == ptFloat) {
                item.kind = VSHDR_FLOAT;
                item.real = vsapi->mapGetFloat(map, key, i, NULL);
            } else if (type == ptData) {
                item.kind = VSHDR_TEXT;
                item.text = vsapi->mapGetData(map, key, i, NULL);
            } else {
                continue;
            }
            add(items, item);
        }
    }
}
