/* The way into Python: no link to libpython, no Python header, so that one library serves every Python.
 *
 * In a Python process, and in vspipe, which opens libpython for all to see, the few functions needed are
 * found by name. They import bridge.py once and give it the address of the table below; from then on Python
 * is called through the table.
 */

#define _GNU_SOURCE /* RTLD_DEFAULT, RTLD_NOLOAD, dladdr */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "vshdr.h"

static int32_t close_bridge(void);

static struct vshdr_bridge bridge = {
    .abi = VSHDR_ABI,
    .size = sizeof(struct vshdr_bridge),
    .put = vshdr_put,
    .close = close_bridge,
};
static atomic_bool attached;

/* Calls into Python that are under way, and whether new ones are refused. A thread that waits for the GIL
 * while the interpreter is taken down would be killed or hang there, so Python's atexit closes the bridge and
 * waits until nobody is in. */
static atomic_int calls;
static atomic_bool closed;

/* The functions of Python's stable ABI that are used; PyObject stays opaque. */
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

/* VapourSynth closes a plugin's library with the core, but Python keeps the table's address, and threads may
 * be on their way back through this code: the library stays in the process. */
static void stay_loaded(void)
{
    Dl_info self;
    if (dladdr(&bridge, &self))
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static bool find(const char *name, void *function)
{
    /* POSIX lets dlsym return functions as void pointers; ISO C has no cast for that. */
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

static int32_t close_bridge(void)
{
    atomic_store(&closed, true);
    return atomic_load(&calls);
}

/* The raised exception as text, which clears it. */
static void describe_exception(char *message, int size)
{
    PyObject *error = py.PyErr_GetRaisedException();
    PyObject *text = error ? py.PyObject_Str(error) : NULL;
    const char *reason = text ? py.PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
    const char *version = py.Py_GetVersion(); /* the number, a blank, the build */
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
        module ? py.PyObject_CallMethod(module, "attach", "K", (unsigned long long)(uintptr_t)&bridge) : NULL;
    if (!done)
        describe_exception(message, size);
    if (done)
        py.Py_DecRef(done);
    if (module)
        py.Py_DecRef(module);
    py.PyGILState_Release(gil);
    leave();
    /* Two threads may both come here: attach() in Python does its work once. */
    if (done)
        atomic_store(&attached, true);
    return done != NULL;
}

int64_t vshdr_create(const struct vshdr_item *items, int count, void *settings, char *message, int size)
{
    if (!enter_or_say(message, size))
        return 0;
    int64_t expander = bridge.create(items, count, settings, message, size);
    leave();
    return expander;
}

bool vshdr_check(int64_t expander, const struct vshdr_item *items, int count, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = bridge.check(expander, items, count, message, size) == 0;
    leave();
    return good;
}

bool vshdr_infer(int64_t expander, const struct vshdr_plane *planes, int frames, int width, int height,
                 char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = bridge.infer(expander, planes, frames, width, height, message, size) == 0;
    leave();
    return good;
}

bool vshdr_smooth(int64_t expander, int number, const struct vshdr_moment *window, int frames,
                  const struct vshdr_plane *out, int width, int height, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = bridge.smooth(expander, number, window, frames, out, width, height, message, size) == 0;
    leave();
    return good;
}

int64_t vshdr_hold(const struct vshdr_item *items, int count, void *settings, char *message, int size)
{
    if (!enter_or_say(message, size))
        return 0;
    int64_t meter = bridge.hold(items, count, settings, message, size);
    leave();
    return meter;
}

bool vshdr_measure(int64_t meter, const struct vshdr_moment *window, int frames, int width, int height,
                   void *settings, char *message, int size)
{
    if (!enter_or_say(message, size))
        return false;
    bool good = bridge.measure(meter, window, frames, width, height, settings, message, size) == 0;
    leave();
    return good;
}

void vshdr_destroy(int64_t expander)
{
    /* At shutdown the process takes its memory back by itself. */
    if (!enter())
        return;
    bridge.destroy(expander);
    leave();
}

void vshdr_about(void *settings)
{
    if (!enter())
        return;
    bridge.about(settings);
    leave();
}
