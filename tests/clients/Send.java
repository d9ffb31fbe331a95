import jakarta.mail.Message;
import jakarta.mail.MessagingException;
import jakarta.mail.Session;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.util.Properties;

/**
 * Send HOST PORT starttls|implicit CA USER PASSWORD SENDER RECIPIENT < message
 * Without a user there is no AUTH. The authority is trusted by javax.net.ssl.trustStore.
 */
public class Send {
	public static void main(String[] args) throws Exception {
		String host = args[0], user = args[4];
		boolean implicit = args[2].equals("implicit");
		Properties properties = new Properties();
		properties.put("mail.smtp.port", args[1]);
		properties.put("mail.smtp.ssl.enable", String.valueOf(implicit));
		properties.put("mail.smtp.starttls.required", String.valueOf(!implicit));
		properties.put("mail.smtp.ssl.checkserveridentity", "true");
		properties.put("mail.smtp.auth", String.valueOf(!user.isEmpty()));
		properties.put("mail.smtp.from", args[6]);
		Session session = Session.getInstance(properties);
		Message message = new MimeMessage(session, System.in);
		try (Transport transport = session.getTransport("smtp")) {
			transport.connect(host, user.isEmpty() ? null : user, user.isEmpty() ? null : args[5]);
			transport.sendMessage(message, InternetAddress.parse(args[7]));
		} catch (MessagingException error) {
			for (Exception e = error; e != null;
			     e = e instanceof MessagingException ? ((MessagingException) e).getNextException() : null)
				System.err.println(e.getMessage());
			System.exit(1);
		}
	}
}
