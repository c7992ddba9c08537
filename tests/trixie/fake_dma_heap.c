/* Lets the virtual camera of libcamera run where the kernel has no DMA heaps, and at the pace of a camera. A library for
 * LD_PRELOAD: gcc -O1 -shared -fPIC -o fake_dma_heap.so fake_dma_heap.c -ldl
 *
 * /dev/dma_heap/system answers with memory of memfd_create. The virtual camera fills a frame as soon as it is asked to, faster
 * than any camera, and before libcamerasrc 0.4 has noted that it asked, which aborts. So a frame is begun, which is to map its
 * memory for writing alone, FAKE_CAMERA_US microseconds (33333) after the one before at the earliest. Streams take turns. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <linux/dma-heap.h>
#include <linux/dma-buf.h>
static int is(const char *p){ return p && !strcmp(p,"/dev/dma_heap/system"); }
#define O(name) int name(const char *p,int f,...){ va_list a; va_start(a,f); int m=va_arg(a,int); va_end(a); \
  if(is(p)) return memfd_create("fakeheap",MFD_CLOEXEC); static int(*r)(const char*,int,...); if(!r) r=dlsym(RTLD_NEXT,#name); return r(p,f,m);}
O(open) O(open64)
int ioctl(int fd, unsigned long rq, ...){ va_list a; va_start(a,rq); void *p=va_arg(a,void*); va_end(a);
  if(rq==DMA_HEAP_IOCTL_ALLOC){ struct dma_heap_allocation_data *d=p; int m=memfd_create("fakedmabuf",MFD_CLOEXEC); if(m<0||ftruncate(m,d->len)) return -1; d->fd=m; return 0; }
  if(rq==DMA_BUF_IOCTL_SYNC) return 0; if(rq==DMA_BUF_SET_NAME_A||rq==DMA_BUF_SET_NAME_B||rq==DMA_BUF_SET_NAME) return 0;
  static int(*r)(int,unsigned long,...); if(!r) r=dlsym(RTLD_NEXT,"ioctl"); return r(fd,rq,p);}

static void *mapped(const char *name, void *at, size_t length, int prot, int flags, int fd, off_t offset) {
  void *(*real)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, name);
  if (prot == PROT_WRITE && (flags & MAP_SHARED) && fd >= 0) {
    static struct timespec next;
    const char *pace = getenv("FAKE_CAMERA_US");
    long us = pace ? atol(pace) : 33333;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    now.tv_nsec += 3000000; /* at least, so that libcamerasrc comes first */
    if (next.tv_sec < now.tv_sec || (next.tv_sec == now.tv_sec && next.tv_nsec < now.tv_nsec)) next = now;
    next.tv_sec += next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, 0);
    next.tv_nsec += us * 1000;
    next.tv_sec += next.tv_nsec / 1000000000;
    next.tv_nsec %= 1000000000;
  }
  return real(at, length, prot, flags, fd, offset);
}
void *mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset) { return mapped("mmap", at, length, prot, flags, fd, offset); }
void *mmap64(void *at, size_t length, int prot, int flags, int fd, off64_t offset) { return mapped("mmap64", at, length, prot, flags, fd, offset); }
