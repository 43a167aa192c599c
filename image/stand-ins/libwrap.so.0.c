/*
 * Debian's sshd asks TCP wrappers whether /etc/hosts.allow and hosts.deny let a client in. The box has
 * neither file, so the answer is yes; who may connect is said in appliance.toml. Spares the image
 * libwrap, libnsl and libtirpc.
 */
#include <stddef.h>

struct request_info;

struct request_info *request_init(struct request_info *request, ...)
{
	return request;
}

void sock_host(struct request_info *request)
{
	(void)request;
}

int hosts_access(struct request_info *request)
{
	(void)request;
	return 1;
}

/* Never called: everyone was let in. */
void refuse(struct request_info *request)
{
	(void)request;
	__builtin_trap();
}
