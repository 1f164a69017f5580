/* core.hdr: what the C files share, and the table through which they and Python know each other.
 *
 * C does mechanics only (nodes, frames, properties, messages). Every decision (defaults, checks of arguments,
 * batch size, arguments of core.resize, properties to set) is made once per clip by clip.py and handed
 * over as a flat table.
 */
#ifndef VSHDR_H
#define VSHDR_H

#include <stdbool.h>
#include <stdint.h>

/* API 4.2 is what makes _Range (H.273 numbers) the property of the colour range. */
#define VS_USE_API_42
#include <VapourSynth4.h>

/* Room for one error sentence, ours or Python's. */
#define VSHDR_MESSAGE 1024

/* ---- The table between C and Python. bridge.py mirrors it; both change together with VSHDR_ABI. ---- */

#define VSHDR_ABI 4

/* What an item belongs to. */
enum vshdr_group {
    /* To Python. */
    VSHDR_CLIP,     /* format, width, height, frames, colour_family of the clip; threads of the core */
    VSHDR_ARGUMENT, /* arguments that the user gave to Expand */
    VSHDR_PROPERTY, /* properties of a frame */
    /* From Python. */
    VSHDR_SETTING,  /* batch, prefetch, cache (frames kept ahead of the network), carriers (batches kept
                     * behind it); radius and reach: how far around a frame smoothing needs gain and SDR;
                     * format of the frames that infer fills; side_by_side: whether it takes several batches
                     * at a time */
    VSHDR_SOURCE,   /* frame properties that complete the clip's colour description */
    VSHDR_TO_SDR,   /* arguments of core.resize from the clip to RGBS; none: nothing to convert */
    VSHDR_LINEAR,   /* frame properties of linear light */
    VSHDR_REMOVED,  /* frame properties that do not hold for linear light; values mean nothing */
    VSHDR_DELIVERY, /* arguments of core.resize from linear RGBS to the output; none: nothing to convert */
    VSHDR_ABOUT,    /* what Version() returns beside our own version and VapourSynth's */
    /* Of Flicker, whose SDR clip has the groups above. To Python. */
    VSHDR_HDR_CLIP,     /* as VSHDR_CLIP, of the clip that is measured */
    VSHDR_HDR_PROPERTY, /* properties of its first frame */
    /* From Python. */
    VSHDR_HDR_SOURCE, /* frame properties that complete its colour description */
    VSHDR_TO_LINEAR,  /* arguments of core.resize from it to linear RGBS; none: nothing to convert */
    VSHDR_MEASURED,   /* frame properties that hold what was measured */
    VSHDR_GROUPS
};

enum vshdr_kind { VSHDR_INT, VSHDR_FLOAT, VSHDR_TEXT };

/* One value of one key. A key with several values has several items, in order. */
struct vshdr_item {
    int32_t group;
    int32_t kind;
    int64_t integer;
    double real;
    const char *key;
    const char *text; /* UTF-8 */
};

/* One plane of a frame that goes in and of the one that comes out: strides in bytes. Samples are floats, code
 * values and linear light; with smoothing, infer gives the gain in place of linear light. Where Python
 * converts by itself they are those of the clip and of what is delivered. */
struct vshdr_plane {
    const void *sdr;
    void *linear;
    int64_t sdr_stride;
    int64_t linear_stride;
};

/* One frame that smoothing or Flicker looks at. */
struct vshdr_moment {
    int32_t number;
    int32_t scene_change; /* _SceneChangePrev of the frame: 0 or 1, and -1 where it has none */
    /* linear: the frame's gain, NULL beyond the radius, where only shots are looked for; for Flicker its
     * light. */
    struct vshdr_plane planes[3];
};

/* Functions that can fail write one sentence into message (size bytes, UTF-8, terminated). */
struct vshdr_bridge {
    int32_t abi;
    int32_t size;

    /* Ours. */
    void (*put)(void *settings, const struct vshdr_item *item);
    int32_t (*close)(void); /* refuses all calls from now on; returns how many are still under way */

    /* Python's. */
    int64_t (*create)(const struct vshdr_item *items, int32_t count, void *settings, char *message,
                      int32_t size);
    int32_t (*check)(int64_t expander, const struct vshdr_item *items, int32_t count, char *message,
                     int32_t size);
    int32_t (*infer)(int64_t expander, const struct vshdr_plane *planes, int32_t frames, int32_t width,
                     int32_t height, char *message, int32_t size);
    /* Frame number out of the window around it, in order of numbers. */
    int32_t (*smooth)(int64_t expander, int32_t number, const struct vshdr_moment *window, int32_t frames,
                      const struct vshdr_plane *out, int32_t width, int32_t height, char *message,
                      int32_t size);
    /* Of Flicker, in place of create and infer. The window is frame number and the one before it, if there is
     * one. */
    int64_t (*hold)(const struct vshdr_item *items, int32_t count, void *settings, char *message,
                    int32_t size);
    int32_t (*measure)(int64_t meter, const struct vshdr_moment *window, int32_t frames, int32_t width,
                       int32_t height, void *settings, char *message, int32_t size);
    void (*destroy)(int64_t expander);
    void (*about)(void *settings);
};

/* ---- python.c: into Python and back ---- */

/* Imports the Python side, once per process. False, with a sentence in message, where that cannot be done. */
bool vshdr_attach(char *message, int size);

/* The calls of the table, refused with a sentence once the interpreter shuts down. No lock of ours is held
 * around them, and the GIL may or may not be held by the caller: Python's callbacks take it by themselves.
 * create returns 0 for failure. */
int64_t vshdr_create(const struct vshdr_item *items, int count, void *settings, char *message, int size);
bool vshdr_check(int64_t expander, const struct vshdr_item *items, int count, char *message, int size);
bool vshdr_infer(int64_t expander, const struct vshdr_plane *planes, int frames, int width, int height,
                 char *message, int size);
bool vshdr_smooth(int64_t expander, int number, const struct vshdr_moment *window, int frames,
                  const struct vshdr_plane *out, int width, int height, char *message, int size);
int64_t vshdr_hold(const struct vshdr_item *items, int count, void *settings, char *message, int size);
bool vshdr_measure(int64_t meter, const struct vshdr_moment *window, int frames, int width, int height,
                   void *settings, char *message, int size);
void vshdr_destroy(int64_t expander);
void vshdr_about(void *settings);

/* ---- settings.c: memory, flat tables of items, and VapourSynth maps made of them ---- */

/* Zeroed memory; there is always some. */
void *vshdr_allocate(size_t size);

struct vshdr_settings {
    const VSAPI *vsapi;
    VSMap *groups[VSHDR_GROUPS];
};

struct vshdr_settings *vshdr_settings_new(const VSAPI *vsapi);
void vshdr_settings_free(struct vshdr_settings *settings);
void vshdr_put(void *settings, const struct vshdr_item *item);

/* A growing array of items; keys and texts are borrowed from the maps they come from. */
struct vshdr_items {
    struct vshdr_item *items;
    int count;
    int capacity;
};

void vshdr_add_int(struct vshdr_items *items, int group, const char *key, int64_t value);
/* Every integer, float and text of a map; nodes and frames are passed over. */
void vshdr_add_map(struct vshdr_items *items, int group, const VSMap *map, const VSAPI *vsapi);

/* ---- build.c: what a function of core.hdr holds while it strings nodes together ---- */

struct vshdr_build {
    VSCore *core;
    const VSAPI *vsapi;
    struct vshdr_settings *settings;
    char message[VSHDR_MESSAGE];
};

struct vshdr_build vshdr_build_begin(VSCore *core, const VSAPI *vsapi);
/* Hands the node to VapourSynth, or for NULL the message with the function's name before it. */
void vshdr_build_end(struct vshdr_build *b, const char *function, VSNode *node, VSMap *out);
/* The node, or "VapourSynth made no node" in the message. */
VSNode *vshdr_made(struct vshdr_build *b, VSNode *node);
/* The node through a function of another plugin with the arguments of a group; a group without any leaves it
 * as it is. Consumes node, which may be NULL. NULL with a message for failure. */
VSNode *vshdr_invoke(struct vshdr_build *b, VSNode *node, const char *plugin, const char *function,
                     enum vshdr_group group);
/* The same with core.resize.Bilinear. */
VSNode *vshdr_resize(struct vshdr_build *b, VSNode *node, enum vshdr_group group);
/* Adds what Python is told about a clip. */
void vshdr_describe_clip(struct vshdr_items *items, int group, const VSVideoInfo *info, VSCore *core,
                         const VSAPI *vsapi);

/* ---- flicker.c ---- */

void VS_CC vshdr_flicker(const VSMap *in, VSMap *out, void *user_data, VSCore *core, const VSAPI *vsapi);

/* ---- nodes.c, smooth.c: the filters that Expand strings together. Each returns a new node, or NULL. ---- */

/* One frame as Python sees it; linear is the frame's gain or light, or NULL. */
struct vshdr_moment vshdr_moment(int number, const VSFrame *sdr, const VSFrame *linear, const VSAPI *vsapi);

/* A Python expander, shared by the nodes that use it. */
struct vshdr_expander;
struct vshdr_expander *vshdr_expander_new(int64_t id);
struct vshdr_expander *vshdr_expander_share(struct vshdr_expander *expander);
int64_t vshdr_expander_id(const struct vshdr_expander *expander);
void vshdr_expander_release(struct vshdr_expander *expander);

/* The clip with a complete colour description on every frame; a frame that is described otherwise than first
 * is refused. */
VSNode *vshdr_describe(VSNode *clip, const VSFrame *first, const VSMap *properties,
                       struct vshdr_expander *expander, VSCore *core, const VSAPI *vsapi);
/* The clip, with a cache that keeps the frames decoded ahead. */
VSNode *vshdr_keep(VSNode *clip, int frames, VSCore *core, const VSAPI *vsapi);
/* How frames go through the network. */
struct vshdr_batching {
    int batch;         /* frames at a time */
    int prefetch;      /* batches decoded ahead */
    int kept;          /* carriers in the cache */
    int format;        /* VapourSynth's id of the frames that come out */
    bool side_by_side; /* whether several batches may be under way */
};
/* One carrier frame per batch, whose properties hold the linear frames of the batch. */
VSNode *vshdr_batches(VSNode *sdr, const struct vshdr_batching *batching, const VSMap *linear,
                      const VSMap *removed, struct vshdr_expander *expander, VSCore *core,
                      const VSAPI *vsapi);
/* The linear frames out of their carriers; asks for the frames of the next batches as it goes. */
VSNode *vshdr_unpack(VSNode *batches, VSNode *sdr, const struct vshdr_batching *batching, VSCore *core,
                     const VSAPI *vsapi);
/* Linear frames out of gain frames, each smoothed over its neighbours. */
VSNode *vshdr_smoothed(VSNode *gain, VSNode *sdr, int radius, int reach, struct vshdr_expander *expander,
                       VSCore *core, const VSAPI *vsapi);

#endif
