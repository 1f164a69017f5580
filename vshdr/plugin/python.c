/* The way into Python. The library is not linked to libpython and uses no Python header, so one build serves
 * every Python.
 *
 * The few Python functions it needs are found by name at run time: in a Python process they are there, and
 * vspipe loads libpython with RTLD_GLOBAL. They import bridge.py once and pass it the address of the table
 * below. From then on Python is called through the table.
 */

#define _GNU_SOURCE /* RTLD_DEFAULT, RTLD_NOLOAD, dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "vshdr.h"

static int32_t close_table(void);

static struct vshdr_table table = {
    .abi = VSHDR_ABI,
    .size = sizeof(struct vshdr_table),
    .put = vshdr_put,
    .close = close_table,
};
static atomic_bool attached;

/* How many calls into Python are under way, and whether new ones are refused. A thread that waits for the GIL
 * while the interpreter shuts down would be killed or hang, so Python closes the table at exit and waits
 * until the last call has returned. */
static atomic_int calls;
static atomic_bool closed;

/* The functions that are used of Python's stable ABI. PyObject stays opaque. */
typedef void PyObject;
static struct {
    int (*Py_IsInitialized)(void);
    int (*Py_IsFinalizing)(void);
    const char *(*Py_GetVersion)(void);
    int (*PyGILState_Ensure)(void);
    void (*PyGILState_Release)(int);
    PyObject *(*PyImport_ImportModule)(const char *);
    PyObject *(*PyObject_CallMethod)(PyObject *, const char *, const char *, ...);
    PyObject *(*PyErr_GetRaisedException)(void);
    PyObject *(*PyObject_Str)(PyObject *);
    const char *(*PyUnicode_AsUTF8AndSize)(PyObject *, intptr_t *);
    void (*PyErr_Clear)(void);
    void (*Py_DecRef)(PyObject *);
} py;

/* Keeps the library in the process. VapourSynth unloads plugins with the core, but Python keeps the table's
 * address, and threads may still return through this code. */
static void stay_loaded(void)
{
    Dl_info self;
    if (dladdr(&table, &self))
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static bool find(const char *name, void *function)
{
    /* POSIX lets dlsym return a function as a void pointer, which ISO C cannot cast. */
    return (*(void **)function = dlsym(RTLD_DEFAULT, name)) != NULL;
}

#define FIND(name) find(#name, &py.name)

static bool found;

static void find_python(void)
{
    found = FIND(Py_IsInitialized) && FIND(Py_GetVersion) && FIND(PyGILState_Ensure)
            && FIND(PyGILState_Release) && FIND(PyImport_ImportModule) && FIND(PyObject_CallMethod)
            && FIND(PyErr_GetRaisedException) && FIND(PyObject_Str) && FIND(PyUnicode_AsUTF8AndSize)
            && FIND(PyErr_Clear) && FIND(Py_DecRef)
            && (FIND(Py_IsFinalizing)
                || find("_Py_IsFinalizing", &py.Py_IsFinalizing)); /* public since Python 3.13 */
    if (found)
        stay_loaded();
}

static bool enter(void)
{
    atomic_fetch_add(&calls, 1);
    if (!atomic_load(&closed) && !py.Py_IsFinalizing())
        return true;
    atomic_fetch_sub(&calls, 1);
    return false;
}

static bool enter_or_say(char *message, int size)
{
    if (enter())
        return true;
    snprintf(message, (size_t)size, "the Python interpreter is shutting down");
    return false;
}

static void leave(void)
{
    atomic_fetch_sub(&calls, 1);
}

static int32_t close_table(void)
{
    atomic_store(&closed, true);
    return atomic_load(&calls);
}

/* Writes the raised exception as a sentence, and clears it. */
static void describe_exception(char *message, int size)
{
    PyObject *error = py.PyErr_GetRaisedException();
    PyObject *text = error ? py.PyObject_Str(error) : NULL;
    const char *reason = text ? py.PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    const char *version = py.Py_GetVersion(); /* number, blank, build */
    snprintf(message, (size_t)size,
             "the package vshdr cannot be used by this program's Python %.*s (%s); install it there",
             (int)strcspn(version, " "), version, reason ? reason : "unknown error");
    py.PyErr_Clear();
    if (text)
        py.Py_DecRef(text);
    if (error)
        py.Py_DecRef(error);
}

bool vshdr_attach(char *message, int size)
{
    if (atomic_load(&attached))
        return true;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_python);
    if (!found || !py.Py_IsInitialized()) {
        snprintf(message, (size_t)size,
                 "there is no Python in this program; use vspipe or Python 3.12 or later");
        return false;
    }
    if (!enter_or_say(message, size))
        return false;
    int gil = py.PyGILState_Ensure();
    PyObject *module = py.PyImport_ImportModule("vshdr.plugin.bridge");
    PyObject *done =
        module ? py.PyObject_CallMethod(module, "attach", "K", (unsigned long long)(uintptr_t)&table) : NULL;
    if (!done)
        describe_exception(message, size);
    if (done)
        py.Py_DecRef(done);
    if (module)
        py.Py_DecRef(module);
    py.PyGILState_Release(gil);
    leave();
    /* Two threads may both come here. attach() in Python does its work only once. */
    if (done)
        atomic_store(&attached, true);
    return done != NULL;
}

int64_t vshdr_create_expander(const struct vshdr_item *items, int count, void *settings, char *message,
                              int size)
{
    if (!enter_or_say(message, size))
        return 0;
    int64_t expander = table.create_expander(items, count, settings, message, size);
    leave();
    return expander;
}

bool vshdr_check(int64_t expander, const struct vshdr_item *items, int count, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = table.check(expander, items, count, message, size) == 0;
    leave();
    return good;
}

bool vshdr_infer(int64_t expander, const struct vshdr_plane *source, const struct vshdr_plane *target,
                 int frames, int width, int height, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = table.infer(expander, source, target, frames, width, height, message, size) == 0;
    leave();
    return good;
}

bool vshdr_smooth(int64_t expander, int number, const struct vshdr_neighbour *window, int frames,
                  const struct vshdr_plane *target, int width, int height, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = table.smooth(expander, number, window, frames, target, width, height, message, size) == 0;
    leave();
    return good;
}

int64_t vshdr_create_meter(const struct vshdr_item *items, int count, void *settings, char *message, int size)
{
    if (!enter_or_say(message, size))
        return 0;
    int64_t meter = table.create_meter(items, count, settings, message, size);
    leave();
    return meter;
}

bool vshdr_measure(int64_t meter, const struct vshdr_neighbour *window, int frames, int width, int height,
                   void *settings, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = table.measure(meter, window, frames, width, height, settings, message, size) == 0;
    leave();
    return good;
}

void vshdr_destroy(int64_t id)
{
    /* If the interpreter is shutting down, its memory is freed with the process. */
    if (!enter())
        return;
    table.destroy(id);
    leave();
}

void vshdr_about(void *settings)
{
    if (!enter())
        return;
    table.about(settings);
    leave();
}
