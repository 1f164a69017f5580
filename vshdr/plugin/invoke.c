/* Other plugins' filters, and what Python is told about a clip. */

#include <stdio.h>

#include "vshdr.h"

VSNode *vshdr_invoke(VSNode *node, const char *plugin, const char *function, VSMap *arguments, char *message,
                     int size, VSCore *core, const VSAPI *vsapi)
{
    if (!node || vsapi->mapNumKeys(arguments) == 0)
        return node;
    vsapi->mapConsumeNode(arguments, "clip", node, maReplace);
    VSMap *result = vsapi->invoke(vsapi->getPluginByID(plugin, core), function, arguments);
    const char *error = vsapi->mapGetError(result);
    VSNode *made = error ? NULL : vsapi->mapGetNode(result, "clip", 0, NULL);
    if (error)
        snprintf(message, (size_t)size, "%s", error);
    vsapi->freeMap(result);
    return made;
}

void vshdr_describe_clip(struct vshdr_items *items, int group, const VSVideoInfo *info, VSCore *core,
                         const VSAPI *vsapi)
{
    const VSVideoFormat *f = &info->format;
    vshdr_add_int(items, group, "format",
                  vsapi->queryVideoFormatID(f->colorFamily, f->sampleType, f->bitsPerSample, f->subSamplingW,
                                            f->subSamplingH, core));
    vshdr_add_int(items, group, "colour_family", f->colorFamily);
    vshdr_add_int(items, group, "width", info->width);
    vshdr_add_int(items, group, "height", info->height);
    vshdr_add_int(items, group, "frames", info->numFrames);
}
