/* Preloaded before a process: what it syncs under POWER_FOLDER is kept as a power cut would keep it,
   each file as it was at its last sync, in POWER_KEPT; and its writes there are counted. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long synced, written;

static const char *name_of(int fd, char *path)
{
    char link[64];
    const char *folder = getenv("POWER_FOLDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (folder == NULL || length < 0)
        return NULL;
    path[length] = 0;
    size_t prefix = strlen(folder);
    return strncmp(path, folder, prefix) == 0 && path[prefix] == '/' ? path + prefix + 1 : NULL;
}

/* A sync of one file commits the journal of ext4 and f2fs, and with it the removals before it. */
static void forget_removed(const char *kept)
{
    char path[PATH_MAX];
    DIR *folder = opendir(kept);
    for (struct dirent *one; folder != NULL && (one = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", getenv("POWER_FOLDER"), one->d_name);
        if (one->d_name[0] != '.' && access(path, F_OK) != 0) {
            snprintf(path, sizeof path, "%s/%s", kept, one->d_name);
            unlink(path);
        }
    }
    if (folder != NULL)
        closedir(folder);
}

static void keep(int fd)
{
    char path[PATH_MAX], partial[PATH_MAX], whole[PATH_MAX], block[65536];
    const char *name = name_of(fd, path), *kept = getenv("POWER_KEPT");
    if (name == NULL || strchr(name, '/') != NULL)
        return;
    synced++;
    if (kept == NULL)
        return;
    snprintf(whole, sizeof whole, "%s/%s", kept, name);
    snprintf(partial, sizeof partial, "%s/.%s", kept, name);
    int in = open(path, O_RDONLY), out = open(partial, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t (*really)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    for (ssize_t n; (n = read(in, block, sizeof block)) > 0;)
        if (really(out, block, n) != n)
            abort();
    close(in);
    close(out);
    rename(partial, whole);
    forget_removed(kept);
}

int fsync(int fd)
{
    int (*really)(int) = dlsym(RTLD_NEXT, "fsync");
    int result = really(fd);
    keep(fd);
    return result;
}

int fdatasync(int fd)
{
    int (*really)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int result = really(fd);
    keep(fd);
    return result;
}

static void count(int fd, ssize_t n)
{
    char path[PATH_MAX];
    if (n > 0 && name_of(fd, path) != NULL)
        written += n;
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*really)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t n = really(fd, data, size);
    count(fd, n);
    return n;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    ssize_t (*really)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    ssize_t n = really(fd, data, size, at);
    count(fd, n);
    return n;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at)
{
    ssize_t (*really)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t n = really(fd, data, size, at);
    count(fd, n);
    return n;
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("POWER_TOLD");
    FILE *told = path == NULL ? NULL : fopen(path, "w");
    if (told != NULL) {
        fprintf(told, "%ld %ld\n", written, synced);
        fclose(told);
    }
}
