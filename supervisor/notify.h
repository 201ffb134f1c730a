/* What a service manager is told (sd_notify(3)). */
#ifndef NOTIFY_H
#define NOTIFY_H

/* Takes NOTIFY_SOCKET out of the environment, so that nothing that is forked from here can speak for this service. Answers its value, or NULL
 * where no service manager listens. */
const char *notify_take_socket(void);

/* Sends one message. Answers -1 when nobody took it; a NULL socket takes everything. */
int notify_send(const char *socket_path, const char *message);

/* The mode `notify`: each line of stdin becomes one message, until its end. Answers the exit status. */
int notify_run(const char *socket_path);

#endif
