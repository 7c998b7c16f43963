/* A disk that fails when told: loaded into PostgreSQL, it looks for a file beside the data that names the fault.
 *
 *   fault-fsync   flushing fails (EIO)
 *   fault-wal     there is no room for the log (ENOSPC)
 *   fault-full    there is no room for tables (ENOSPC)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int told(const char *fault) {
    const char *folder = getenv("CLUSTER");
    char path[4096];
    if (!folder) return 0;
    snprintf(path, sizeof path, "%s/fault-%s", folder, fault);
    return access(path, F_OK) == 0;
}

static int lies_in(int fd, const char *part) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, part) != NULL;
}

static int full(int fd) {
    return (told("wal") && lies_in(fd, "/data/pg_wal/")) || (told("full") && lies_in(fd, "/data/base/"));
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define NO_ROOM(fd) if (full(fd)) { errno = ENOSPC; return -1; }
#define NO_FLUSH if (told("fsync")) { errno = EIO; return -1; }

ssize_t write(int fd, const void *data, size_t size) { NO_ROOM(fd) return REAL(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { NO_ROOM(fd) return REAL(pwrite)(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { NO_ROOM(fd) return REAL(pwrite64)(fd, data, size, at); }
ssize_t pwritev(int fd, const struct iovec *data, int parts, off_t at) { NO_ROOM(fd) return REAL(pwritev)(fd, data, parts, at); }
ssize_t pwritev64(int fd, const struct iovec *data, int parts, off64_t at) { NO_ROOM(fd) return REAL(pwritev64)(fd, data, parts, at); }
int posix_fallocate(int fd, off_t at, off_t size);
int posix_fallocate(int fd, off_t at, off_t size) { if (full(fd)) return ENOSPC; return REAL(posix_fallocate)(fd, at, size); }
int fsync(int fd) { NO_FLUSH return REAL(fsync)(fd); }
int fdatasync(int fd) { NO_FLUSH return REAL(fdatasync)(fd); }
