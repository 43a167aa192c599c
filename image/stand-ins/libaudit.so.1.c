/*
 * Debian's sshd and libpam write logins to the kernel's audit log, which nothing on the box reads: the answer is that
 * the kernel has none, and they go on. Spares the image libaudit and libcap-ng (0.06 MB packed).
 */
#include <errno.h>

int audit_open(void)
{
	errno = EPROTONOSUPPORT;
	return -1;
}

void audit_close(int fd)
{
	(void)fd;
}

/* Never called: nothing was opened. */
int audit_log_acct_message(void)
{
	return -1;
}
