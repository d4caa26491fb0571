/* A library with the names and structures of NVIDIA's libnvidia-ml.so.1, and GPUs that are only told of.
 *
 * GPU 0 works; 1 was not given to us; 2 has no utilisation (a driver or card without the counter); 3 is lost.
 * -DINIT=CODE fails to start; -DHANG never answers a question, and holds the lock that the library's end wants;
 * -DOLD lacks a function; -DGARBAGE answers with numbers that can't be.
 */
#include <pthread.h>
#include <unistd.h>

typedef struct { unsigned int gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct gpu { int index; } *nvmlDevice_t;
typedef enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, IS_LOST = 15 } nvmlReturn_t;

#ifndef INIT
#define INIT SUCCESS
#endif

static struct gpu gpus[4] = {{0}, {1}, {2}, {3}};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int started;

nvmlReturn_t nvmlInit_v2(void) { started = INIT == SUCCESS; return INIT; }

nvmlReturn_t nvmlShutdown(void) { started = 0; return SUCCESS; }

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    if (!started) return UNINITIALIZED;
    *count = 4;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    if (!started) return UNINITIALIZED;
    if (index > 3) return INVALID_ARGUMENT;
    if (index == 1) return NO_PERMISSION;
    if (index == 3) return IS_LOST;
    *device = &gpus[index];
    return SUCCESS;
}

#ifndef OLD
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates)
{
    pthread_mutex_lock(&lock);
#ifdef HANG
    for (;;) pause();
#endif
    pthread_mutex_unlock(&lock);
    if (!started) return UNINITIALIZED;
    if (device->index == 2) return NOT_SUPPORTED;
    rates->gpu = 87;
    rates->memory = 12;
#ifdef GARBAGE
    rates->gpu = 4294967295U;
#endif
    return SUCCESS;
}
#endif

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    if (!started) return UNINITIALIZED;
    memory->total = 85899345920ULL; /* more than 32 bits */
    memory->used = 1073741824ULL * (unsigned long long)(device->index + 1);
    memory->free = memory->total - memory->used;
#ifdef GARBAGE
    memory->used = 18446744073709551615ULL; /* NVML's word for "not available" */
#endif
    return SUCCESS;
}

__attribute__((destructor)) static void end(void)
{
    pthread_mutex_lock(&lock);
}
