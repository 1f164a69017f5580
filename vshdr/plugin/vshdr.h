/* core.hdr: what its C files share, and the table of functions through which C and Python call each other.
 *
 * C only does the mechanics: nodes, frames, properties, messages. Every decision (defaults, checks of
 * arguments, the batch size, arguments of core.resize, properties to set) is made once per clip by clip.py or
 * measured.py and handed over as a flat list of items.
 */
#ifndef VSHDR_H
#define VSHDR_H

#include <stdbool.h>
#include <stdint.h>

/* From API 4.2 on, _Range (H.273 numbers) is the frame property of the colour range. */
#define VS_USE_API_42
#include <VapourSynth4.h>

/* Bytes for one error message, from C or from Python. */
#define VSHDR_MESSAGE 1024

/* ---- The table between C and Python. abi.py has the same declarations under the same names, and a test
 * compares the two. Whatever changes here changes VSHDR_ABI too. ---- */

#define VSHDR_ABI 5

/* What an item belongs to. */
enum vshdr_group {
    /* From C to Python. */
    VSHDR_CLIP,     /* format, width, height, frames and colour_family of the clip; threads of the core */
    VSHDR_ARGUMENT, /* the arguments that the user gave to Expand */
    VSHDR_PROPERTY, /* the properties of a frame */

    /* From Python to C. */
    VSHDR_SETTING,  /* batch: frames per call of infer; prefetch: batches decoded ahead; cache: decoded frames
                     * that are kept; carriers: finished batches that are kept; radius: for how many frames
                     * on either side smoothing needs the gain; reach: for how many it needs the SDR, which
                     * is more, since shots are found in it; format: of the frames that infer fills;
                     * side_by_side: whether infer may run for several batches at once */
    VSHDR_SOURCE,   /* frame properties that complete the clip's colour description */
    VSHDR_TO_SDR,   /* arguments of core.resize from the clip to what infer reads; none: no conversion */
    VSHDR_EXPANDED, /* frame properties of the frames that infer fills */
    VSHDR_REMOVED,  /* frame properties that those frames must not inherit from the clip; values are unused */
    VSHDR_DELIVERY, /* arguments of core.resize from expanded frames to the output; none: no conversion */
    VSHDR_ABOUT,    /* what Version() returns besides our own version and VapourSynth's */

    /* Flicker uses the groups above for its SDR clip, and these. From C to Python. */
    VSHDR_HDR_CLIP,     /* as VSHDR_CLIP, of the HDR clip that is measured */
    VSHDR_HDR_PROPERTY, /* the properties of its first frame */
    /* From Python to C. */
    VSHDR_HDR_SOURCE, /* frame properties that complete its colour description */
    VSHDR_TO_LINEAR,  /* arguments of core.resize from it to linear RGBS; none: no conversion */
    VSHDR_MEASURED,   /* frame properties with the results of a measurement */
    VSHDR_GROUPS      /* how many groups there are */
};

/* The type of an item's value. */
enum vshdr_kind { VSHDR_INT, VSHDR_FLOAT, VSHDR_TEXT };

/* One value of one key. A key with several values has several items, in order. */
struct vshdr_item {
    int32_t group; /* enum vshdr_group */
    int32_t kind;  /* enum vshdr_kind: which of the three values counts */
    int64_t integer;
    double real;
    const char *key;
    const char *text; /* UTF-8 */
};

/* One plane of a frame in VapourSynth's memory. Whether it may be written to depends on what it is passed as.
 */
struct vshdr_plane {
    void *data;     /* the first row, or NULL where there is no frame */
    int64_t stride; /* bytes from one row to the next */
};

/* One frame of a window, as smoothing and Flicker read it. All samples are floats. */
struct vshdr_neighbour {
    int32_t number;       /* of the frame in its clip */
    int32_t scene_change; /* its property _SceneChangePrev: 0 or 1, or -1 where it has none */
    struct vshdr_plane sdr[3];
    /* For smoothing the frame's gain, NULL outside the radius, where only shots are looked for. For Flicker
     * the linear light of the HDR clip. */
    struct vshdr_plane expanded[3];
};

/* Functions that can fail write one sentence into `message` (`size` bytes, UTF-8, ends with a zero). The ids
 * of expanders and meters are positive. create_... return 0 for failure; the other int32_t functions of
 * Python return 0 for success. */
struct vshdr_table {
    int32_t abi;
    int32_t size;

    /* Functions of C. */
    void (*put)(void *settings, const struct vshdr_item *item);
    int32_t (*close)(void); /* refuses all calls from now on; returns how many are still under way */

    /* Functions of Python. */

    /* Makes an expander for one call of Expand, and puts the settings of its nodes. */
    int64_t (*create_expander)(const struct vshdr_item *items, int32_t count, void *settings, char *message,
                               int32_t size);
    /* Fails if a frame with these properties means other colours than the clip's first frame. */
    int32_t (*check)(int64_t expander, const struct vshdr_item *items, int32_t count, char *message,
                     int32_t size);
    /* Expands a batch: reads `source` and fills `target`, three planes per frame. Samples are floats, code
     * values in and linear light out, or the gain where it will be smoothed. Where a GPU converts formats by
     * itself, they are those of the clip and of the output. */
    int32_t (*infer)(int64_t expander, const struct vshdr_plane *source, const struct vshdr_plane *target,
                     int32_t frames, int32_t width, int32_t height, char *message, int32_t size);
    /* Fills `target`, three planes, with frame `number`, smoothed over the frames around it, which `window`
     * holds in ascending order. */
    int32_t (*smooth)(int64_t expander, int32_t number, const struct vshdr_neighbour *window, int32_t frames,
                      const struct vshdr_plane *target, int32_t width, int32_t height, char *message,
                      int32_t size);
    /* Makes a meter for one call of Flicker, and puts the settings of its nodes. */
    int64_t (*create_meter)(const struct vshdr_item *items, int32_t count, void *settings, char *message,
                            int32_t size);
    /* Measures the last frame of the window against the one before it, if there is one, and puts the results
     * into VSHDR_MEASURED. */
    int32_t (*measure)(int64_t meter, const struct vshdr_neighbour *window, int32_t frames, int32_t width,
                       int32_t height, void *settings, char *message, int32_t size);
    /* Forgets an expander or a meter. */
    void (*destroy)(int64_t id);
    /* Puts the versions of Python and of torch, if it is loaded, into VSHDR_ABOUT. */
    void (*about)(void *settings);
};

/* ---- python.c: into Python and back ---- */

/* Imports the Python side, once per process. Returns false, with a sentence in message, if that fails. */
bool vshdr_attach(char *message, int size);

/* The calls of the table. They fail with a sentence once the interpreter shuts down. No lock of ours is held
 * during them. The caller may or may not hold the GIL: Python's callbacks take it by themselves.
 * vshdr_create_... return 0 for failure. */
int64_t vshdr_create_expander(const struct vshdr_item *items, int count, void *settings, char *message,
                              int size);
bool vshdr_check(int64_t expander, const struct vshdr_item *items, int count, char *message, int size);
bool vshdr_infer(int64_t expander, const struct vshdr_plane *source, const struct vshdr_plane *target,
                 int frames, int width, int height, char *message, int size);
bool vshdr_smooth(int64_t expander, int number, const struct vshdr_neighbour *window, int frames,
                  const struct vshdr_plane *target, int width, int height, char *message, int size);
int64_t vshdr_create_meter(const struct vshdr_item *items, int count, void *settings, char *message,
                           int size);
bool vshdr_measure(int64_t meter, const struct vshdr_neighbour *window, int frames, int width, int height,
                   void *settings, char *message, int size);
void vshdr_destroy(int64_t id);
void vshdr_about(void *settings);

/* ---- frames.c: frames as Python sees them ---- */

/* The three planes of a frame that is only read, and of one that is filled. */
void vshdr_planes_to_read(const VSFrame *frame, struct vshdr_plane planes[3], const VSAPI *vsapi);
void vshdr_planes_to_fill(VSFrame *frame, struct vshdr_plane planes[3], const VSAPI *vsapi);
/* One frame of a window; `expanded` may be NULL. */
struct vshdr_neighbour vshdr_neighbour_of(int number, const VSFrame *sdr, const VSFrame *expanded,
                                          const VSAPI *vsapi);

/* ---- settings.c: memory, flat lists of items, and the VapourSynth maps made of them ---- */

/* Zeroed memory, never NULL: the process ends where there is none. */
void *vshdr_allocate(size_t size);

/* What Python puts: one map per group. */
struct vshdr_settings {
    const VSAPI *vsapi;
    VSMap *groups[VSHDR_GROUPS];
};

struct vshdr_settings *vshdr_settings_new(const VSAPI *vsapi);
void vshdr_settings_free(struct vshdr_settings *settings);
/* Adds an item to a struct vshdr_settings; the `put` of the table. */
void vshdr_put(void *settings, const struct vshdr_item *item);

/* A growing array of items. Keys and texts are not copied: the maps they come from must outlive it. */
struct vshdr_items {
    struct vshdr_item *items;
    int count;
    int capacity;
};

void vshdr_add_int(struct vshdr_items *items, int group, const char *key, int64_t value);
/* Adds every integer, float and text of a map, and leaves out nodes and frames. */
void vshdr_add_map(struct vshdr_items *items, int group, const VSMap *map, const VSAPI *vsapi);

/* ---- build.c: what a function of core.hdr needs while it builds its chain of nodes ---- */

struct vshdr_build {
    VSCore *core;
    const VSAPI *vsapi;
    struct vshdr_settings *settings;
    char message[VSHDR_MESSAGE]; /* why it failed */
};

struct vshdr_build vshdr_build_begin(VSCore *core, const VSAPI *vsapi);
/* Returns the node to VapourSynth, or for NULL the message, with the function's name before it. */
void vshdr_build_end(struct vshdr_build *b, const char *function, VSNode *node, VSMap *out);
/* Returns the node that it is given. If that is NULL, writes a message. */
VSNode *vshdr_made(struct vshdr_build *b, VSNode *node);
/* Returns the node after a function of another plugin, with the arguments of a group, or the node itself if
 * the group is empty. Consumes the node, which may be NULL. Returns NULL, with a message, for failure. */
VSNode *vshdr_invoke(struct vshdr_build *b, VSNode *node, const char *plugin, const char *function,
                     enum vshdr_group group);
/* The same with core.resize.Bilinear. */
VSNode *vshdr_resize(struct vshdr_build *b, VSNode *node, enum vshdr_group group);
/* Adds what Python needs to know about a clip. */
void vshdr_describe_clip(struct vshdr_items *items, int group, const VSVideoInfo *info, VSCore *core,
                         const VSAPI *vsapi);

/* ---- flicker.c ---- */

void VS_CC vshdr_flicker(const VSMap *in, VSMap *out, void *user_data, VSCore *core, const VSAPI *vsapi);

/* ---- nodes.c, smooth.c: the filters that Expand chains. Each function returns a new node, or NULL. ---- */

/* A Python expander, shared by the nodes that use it and destroyed with the last of them. */
struct vshdr_expander;
struct vshdr_expander *vshdr_expander_new(int64_t id);
struct vshdr_expander *vshdr_expander_share(struct vshdr_expander *expander);
int64_t vshdr_expander_id(const struct vshdr_expander *expander);
void vshdr_expander_release(struct vshdr_expander *expander);

/* The clip with a complete colour description on every frame. Fails at a frame whose description differs from
 * that of `first`. */
VSNode *vshdr_describe(VSNode *clip, const VSFrame *first, const VSMap *properties,
                       struct vshdr_expander *expander, VSCore *core, const VSAPI *vsapi);
/* The clip with a cache that keeps `frames` frames: those decoded ahead. */
VSNode *vshdr_keep(VSNode *clip, int frames, VSCore *core, const VSAPI *vsapi);
/* How frames are grouped for infer. */
struct vshdr_batching {
    int batch;         /* frames per call */
    int prefetch;      /* batches decoded ahead */
    int carriers;      /* finished batches that are kept */
    int format;        /* VapourSynth's id for the format of expanded frames */
    bool side_by_side; /* whether several batches may be under way */
};
/* One carrier frame per batch: its properties hold the expanded frames of the batch. */
VSNode *vshdr_batches(VSNode *sdr, const struct vshdr_batching *batching, const VSMap *expanded,
                      const VSMap *removed, struct vshdr_expander *expander, VSCore *core,
                      const VSAPI *vsapi);
/* The expanded frames, taken out of their carriers. Requests the SDR frames of the next batches on the way.
 */
VSNode *vshdr_unpack(VSNode *batches, VSNode *sdr, const struct vshdr_batching *batching, VSCore *core,
                     const VSAPI *vsapi);
/* Linear light out of gain frames, each smoothed over its neighbours. */
VSNode *vshdr_smoothed(VSNode *gain, VSNode *sdr, int radius, int reach, struct vshdr_expander *expander,
                       VSCore *core, const VSAPI *vsapi);

#endif
