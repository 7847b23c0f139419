/* Clock that runs CONSERVE_SPEED times as fast from the start of the process on: preloaded into the server under test.
 *
 * It covers the calls by which a Rust program reads the time and waits: clock_gettime, epoll_wait, nanosleep,
 * clock_nanosleep, and the futexes of timed parks, whose absolute deadlines libfaketime 0.9.10 leaves unchanged, so that
 * they pass later and later. Waits are rounded up, so that no timer spins. CPU clocks stay as they are.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CLOCKS 12
#define SECOND 1000000000LL

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_clock_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
static long (*real_syscall)(long, ...);

static long long speed = 1;
/* Readings of the clocks at the start, in nanoseconds. */
static long long origins[CLOCKS];

static long long nanoseconds(const struct timespec *time) { return time->tv_sec * SECOND + time->tv_nsec; }

static struct timespec timespec_of(long long nanoseconds) {
    return (struct timespec){.tv_sec = nanoseconds / SECOND, .tv_nsec = nanoseconds % SECOND};
}

static int is_cpu_clock(clockid_t clock) {
    return clock < 0 || clock >= CLOCKS || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

static struct timespec shorter(const struct timespec *duration) {
    return timespec_of((nanoseconds(duration) + speed - 1) / speed);
}

/* Real time of a deadline of the fast clock. */
static struct timespec real_deadline(clockid_t clock, const struct timespec *deadline) {
    long long ahead = nanoseconds(deadline) - origins[clock];
    return timespec_of(ahead <= 0 ? nanoseconds(deadline) : origins[clock] + (ahead + speed - 1) / speed);
}

__attribute__((constructor)) static void begin(void) {
    if (real_clock_gettime != NULL) {
        return;
    }
    real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    real_clock_nanosleep = dlsym(RTLD_NEXT, "clock_nanosleep");
    real_syscall = dlsym(RTLD_NEXT, "syscall");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    for (clockid_t clock = 0; clock < CLOCKS; clock++) {
        struct timespec now;
        if (!is_cpu_clock(clock) && real_clock_gettime(clock, &now) == 0) {
            origins[clock] = nanoseconds(&now);
        }
    }
    const char *text = getenv("CONSERVE_SPEED");
    speed = text != NULL && atoll(text) > 0 ? atoll(text) : 1;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    begin();
    int result = real_clock_gettime(clock, time);
    if (result == 0 && !is_cpu_clock(clock)) {
        *time = timespec_of(origins[clock] + (nanoseconds(time) - origins[clock]) * speed);
    }
    return result;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int milliseconds) {
    begin();
    int shortened = milliseconds <= 0 ? milliseconds : (int)((milliseconds + speed - 1) / speed);
    return real_epoll_wait(epoll, events, most, shortened);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *rest) {
    begin();
    if (is_cpu_clock(clock)) {
        return real_clock_nanosleep(clock, flags, time, rest);
    }
    struct timespec real = flags & TIMER_ABSTIME ? real_deadline(clock, time) : shorter(time);
    return real_clock_nanosleep(clock, flags, &real, rest);
}

int nanosleep(const struct timespec *duration, struct timespec *rest) {
    begin();
    struct timespec real = shorter(duration);
    return real_clock_nanosleep(CLOCK_MONOTONIC, 0, &real, rest);
}

long syscall(long number, ...) {
    begin();
    va_list list;
    va_start(list, number);
    long a[6];
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(list, long);
    }
    va_end(list);
    struct timespec real;
    const struct timespec *time = (const struct timespec *)a[3];
    int operation = (int)a[1] & FUTEX_CMD_MASK;
    if (number == SYS_futex && time != NULL && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET)) {
        clockid_t clock = a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
        real = operation == FUTEX_WAIT ? shorter(time) : real_deadline(clock, time);
        a[3] = (long)&real;
    }
    return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
