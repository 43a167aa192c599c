/*
 * Lets keepalived's checkers run on a kernel without IPVS: preloaded, it says yes to every change of
 * the table. The checks themselves, which are what is compared, are keepalived's own.
 */
#include <stddef.h>

struct nl_sock;
struct nl_msg;
typedef int (*callback)(struct nl_msg *, void *);

/* enum nl_cb_type, <netlink/handlers.h> */
enum { CB_FINISH = 1, CB_ACK = 4, CB_KINDS = 16 };
static callback functions[CB_KINDS];
static void *arguments[CB_KINDS];

int genl_ctrl_resolve(struct nl_sock *socket, const char *name)
{
	(void)socket, (void)name;
	return 99;
}

int nl_send_auto(struct nl_sock *socket, struct nl_msg *message)
{
	(void)socket, (void)message;
	return 1;
}

int nl_socket_modify_cb(struct nl_sock *socket, int type, int kind, callback function, void *argument)
{
	(void)socket, (void)kind;
	if (type >= 0 && type < CB_KINDS) {
		functions[type] = function;
		arguments[type] = argument;
	}
	return 0;
}

int nl_recvmsgs_default(struct nl_sock *socket)
{
	(void)socket;
	if (functions[CB_FINISH])
		functions[CB_FINISH](NULL, arguments[CB_FINISH]);
	if (functions[CB_ACK])
		functions[CB_ACK](NULL, arguments[CB_ACK]);
	return 0;
}
