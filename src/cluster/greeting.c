#include "cluster/greeting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
refuse(char why[GREETING_WHY], const char *what)
{
	snprintf(why, GREETING_WHY, "%s", what);
	return -1;
}

/* Reads the one line of fd, which must be a file: a pipe would make chatd wait. */
static int
read_line(int fd, char password[CLUSTER_PASSWORD_MAX + 1], char why[GREETING_WHY])
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return refuse(why, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(why, "is no regular file");
	if ((n = read(fd, password, CLUSTER_PASSWORD_MAX + 1)) < 0)
		return refuse(why, strerror(errno));
	if (n > CLUSTER_PASSWORD_MAX)
		return refuse(why, "is too large for a password");
	password[n] = '\0';
	password[strcspn(password, "\r\n")] = '\0';
	return password[0] != '\0' ? 0 : refuse(why, "holds no password");
}

static int
read_password(
    const struct cluster *settings, char password[CLUSTER_PASSWORD_MAX + 1], char why[GREETING_WHY])
{
	int fd = open(settings->password.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result;

	if (fd < 0)
		return refuse(why, strerror(errno));
	result = read_line(fd, password, why);
	close(fd);
	return result;
}

int
greeting_check(const struct cluster *settings, char why[GREETING_WHY])
{
	char password[CLUSTER_PASSWORD_MAX + 1];
	int result;

	if (settings->password.path == NULL)
		return 0;
	result = read_password(settings, password, why);
	explicit_bzero(password, sizeof(password));
	return result;
}

static int
add_auth(struct commands *commands, const struct cluster *settings, char why[GREETING_WHY])
{
	char password[CLUSTER_PASSWORD_MAX + 1], reason[GREETING_WHY];

	if (read_password(settings, password, reason) < 0) {
		snprintf(why, GREETING_WHY, "password_file: %.140s", reason);
		return -1;
	}
	command_begin(commands, settings->user != NULL ? 3 : 2);
	command_text(commands, "AUTH");
	if (settings->user != NULL)
		command_text(commands, settings->user);
	command_text(commands, password);
	explicit_bzero(password, sizeof(password));
	return 0;
}

int
greeting_say(struct commands *commands, const struct cluster *settings, const char *name,
    char why[GREETING_WHY])
{
	int count = 1;

	if (settings->password.path != NULL) {
		if (add_auth(commands, settings, why) < 0)
			return -1;
		count++;
	}
	command_begin(commands, 3);
	command_text(commands, "CLIENT");
	command_text(commands, "SETNAME");
	command_text(commands, name);
	return count;
}
