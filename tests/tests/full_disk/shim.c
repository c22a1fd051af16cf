// Loaded in front of libc: the n-th write to a file whose path contains FAIL_MATCH fails as on a full disk; with
// FAIL_ON=1 every one after it, too. FAIL_MARK is made when that happens, so that a test knows when n was past the last.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long seen;

static int fails(int fd) {
  const char *match = getenv("FAIL_MATCH"), *at = getenv("FAIL_AT"), *on = getenv("FAIL_ON");
  if (!match || !at) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  // The shared index of the log is memory, and may be made anew.
  if (!strstr(path, match) || strstr(path, "-shm")) return 0;
  long number = atomic_fetch_add(&seen, 1) + 1, wanted = atol(at);
  if (number != wanted && !(on && *on == '1' && number > wanted)) return 0;
  const char *mark = getenv("FAIL_MARK");
  if (mark) close((int)syscall(SYS_openat, AT_FDCWD, mark, O_CREAT | O_WRONLY, 0600));
  errno = ENOSPC;
  return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t length) { return fails(fd) ? -1 : REAL(write)(fd, data, length); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) {
  return fails(fd) ? -1 : REAL(pwrite)(fd, data, length, at);
}
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) {
  return fails(fd) ? -1 : REAL(pwrite64)(fd, data, length, at);
}
int ftruncate(int fd, off_t length) { return fails(fd) ? -1 : REAL(ftruncate)(fd, length); }
int ftruncate64(int fd, off64_t length) { return fails(fd) ? -1 : REAL(ftruncate64)(fd, length); }
int fsync(int fd) { return fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : REAL(fdatasync)(fd); }
